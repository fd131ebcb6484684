"""Two replicas asked for one answer: whichever begins first gives it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from router.errors import ServingError

Run: TypeAlias = Coroutine[Any, Any, ServingError | None]
"""One attempt: None when the client has the answer, else what went wrong."""


class Race:
    """
    A first attempt, and a second one should the first not have begun after a while.

    Whoever hears that one has begun calls `begun` at once, before a byte of it is passed on, and drops what the other
    has of a connection; the rest of the other is cancelled here, at that moment: one that is still connecting must not
    ask its engine later, while the answer is on its way.
    """

    def __init__(self) -> None:
        self._begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._runs: dict[str, asyncio.Task[ServingError | None]] = {}

    def begun(self, name: str) -> None:
        """The attempt of this name has begun to answer."""
        if self._begun.done():
            return
        self._begun.set_result(name)
        for other, run in self._runs.items():
            if other != name:
                run.cancel()

    async def run(
        self, name: str, first: Run, delay_s: float, second: Callable[[], tuple[str, Run] | None]
    ) -> tuple[str, ServingError | None]:
        """
        The name of the attempt that counts, and how it ended. When both fail, or the second is refused, that is the
        first.

        Args:
            name: that of the first attempt.
            first: it.
            delay_s: after how many seconds there is a second one.
            second: makes it, or None where there is nobody to ask.
        """
        try:
            self._start(name, first)
            await self._wait(delay_s)
            if not self._begun.done() and not self._runs[name].done():
                other = second()
                if other is not None:
                    self._start(*other)
            return await self._winner(name)
        finally:
            losers = [run for run in self._runs.values() if not run.done()]
            for run in losers:
                run.cancel()
            await asyncio.gather(*losers, return_exceptions=True)

    def _start(self, name: str, run: Run) -> None:
        self._runs[name] = asyncio.get_running_loop().create_task(run)

    async def _wait(self, timeout_s: float | None) -> None:
        """Until one has begun, or one that had not ended ends."""
        running: list[asyncio.Future[Any]] = [run for run in self._runs.values() if not run.done()]
        await asyncio.wait([*running, self._begun], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)

    async def _winner(self, first: str) -> tuple[str, ServingError | None]:
        while True:
            if self._begun.done():
                name = self._begun.result()
                return name, await self._runs[name]
            for name, run in self._runs.items():
                if run.done() and _is_final(run, is_first=name == first):
                    return name, run.result()
            if all(run.done() for run in self._runs.values()):
                return first, self._runs[first].result()
            await self._wait(None)


def _is_final(run: "asyncio.Task[ServingError | None]", *, is_first: bool) -> bool:
    """
    Whether the other attempt is not waited for: this one gave the answer, or the first refused the request.

    What the second refuses the first may still take: it may be a fallback, with other limits.
    """
    if run.exception() is not None:
        return is_first
    error = run.result()
    return error is None or (is_first and error.status < 500)
