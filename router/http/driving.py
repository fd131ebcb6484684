"""
Coroutines driven from callbacks.

A token costs one entry of the event loop when the engine's socket callback also performs the ASGI `send()`. A task
would cost two more entries, so the coroutine is advanced by hand: it nearly always ends at its first step, since a
server's `send()` only waits when the client's socket is full.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Driver:
    """
    Runs one coroutine to its end, from the loop's callbacks instead of a task.

    `then(result, error)` is called once, at once when the coroutine never waits. The coroutine may await futures
    of the running loop, and must not ask for the current task.
    """

    __slots__ = ("_coroutine", "_is_closed", "_then", "_waiting_for")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], then: Callable[[Any, BaseException | None], None]) -> None:
        self._coroutine = coroutine
        self._then = then
        self._is_closed = False
        self._waiting_for: asyncio.Future[Any] | None = None

    def step(self, _done: object = None) -> None:
        if self._is_closed:  # between this step's cause and the loop's getting to it
            return
        self._waiting_for = None
        try:
            waited = self._coroutine.send(None)
        except StopIteration as stop:
            self._then(stop.value, None)
        except BaseException as error:  # noqa: BLE001 - handed on, as a task would keep it
            self._then(None, error)
        else:
            self._wait(waited)

    def wait_for(self, future: "asyncio.Future[Any] | None") -> None:
        """Go on after `future`, which the coroutine yielded at a step that somebody else made."""
        self._wait(future)

    def _wait(self, waited: "asyncio.Future[Any] | None") -> None:
        if waited is None:  # a bare yield: asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self.step)
            return
        # Tasks clear this mark of asyncio's future protocol when they accept a future to wait for.
        waited._asyncio_future_blocking = False  # noqa: SLF001
        self._waiting_for = waited
        waited.add_done_callback(self.step)

    def close(self) -> None:
        """Give the coroutine up where it stands; `then` is not called."""
        self._is_closed = True
        if self._waiting_for is not None:
            self._waiting_for.remove_done_callback(self.step)
            self._waiting_for = None
        self._coroutine.close()


async def within(coroutine: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """
    What the coroutine returns. Cheap when it does not wait: a time limit is only set once it does.

    Raises:
        TimeoutError: it took longer than `timeout_s`.
    """
    try:
        waited = coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    driver = Driver(coroutine, lambda value, error: _settle(result, value, error))
    driver.wait_for(waited)
    try:
        async with asyncio.timeout(timeout_s):
            return await result
    finally:
        driver.close()


def _settle(future: "asyncio.Future[T]", value: T, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)
