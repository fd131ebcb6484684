"""Noticing at once that a client has left, without a task for each request."""

import asyncio

from router.http.answer import Answer
from router.http.asgi import Message, Receive
from router.http.driving import Driver


class Departure:
    """
    Cancels the request's task when its client disconnects.

    To be watched only after the request's body was read whole: from then on `receive()` brings nothing else.
    """

    def __init__(self, receive: Receive, answer: Answer) -> None:
        self._receive = receive
        self._answer = answer
        self._driver: Driver | None = None
        self._task: asyncio.Task[object] | None = None
        self.has_left = False

    def watch(self) -> None:
        self._task = asyncio.current_task()
        self._driver = Driver(self._receive(), self._left)
        self._driver.step()

    def stop(self) -> None:
        self._task = None
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _left(self, _message: Message | None, _error: BaseException | None) -> None:
        if self._task is not None and not self._answer.is_complete:  # servers say "gone" of a complete answer, too
            self.has_left = True
            self._task.cancel()
