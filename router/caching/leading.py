"""An answer that is made here; where its engine is lost in the middle of it, made again from there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from router.caching.flight import Flight
from router.caching.shared_answers import Making
from router.caching.splice import Splice
from router.errors import EngineFailed, EngineTimeout
from router.http.answer import AnswerSink
from router.http.event_stream import Usage
from router.replicas.registry import Replica

logger = logging.getLogger("enginehouse.router")

Source = Callable[[AnswerSink], Awaitable[None]]
"""Writes a whole answer, from its beginning."""


class Leading:
    """
    A `Making` from engines.

    Args:
        flight: who takes the answer.
        make: one generation that writes to a sink.
        is_repeatable: whether an engine that is asked again says the same. Then a stream whose engine is lost goes on
            with another one's, once.
    """

    def __init__(self, flight: Flight, make: Callable[[AnswerSink], Making], *, is_repeatable: bool) -> None:
        self._flight = flight
        self._make = make
        self._is_repeatable = is_repeatable
        self._making: Making | None = None
        self._num_bytes_before = -1
        """What clients had when it was begun once more."""

    @property
    def usage(self) -> Usage | None:
        return None if self._making is None else self._making.usage

    @property
    def replica(self) -> Replica | None:
        return None if self._making is None else self._making.replica

    @property
    def is_pausing(self) -> bool:
        if self._flight.num_bytes == self._num_bytes_before:
            return True
        return self._making is not None and self._making.is_pausing

    async def run(self) -> None:
        """
        Returns when the answer is over.

        Raises:
            ServingError: there is none, or only a part of one.
            ClientDisconnected: nobody takes it any more.
        """
        try:
            await take(self._flight, self._generate)
        except (EngineFailed, EngineTimeout) as lost:
            has_begun = self._flight.has_content and self._flight.said is not None
            if lost.is_final or not (self._is_repeatable and has_begun):
                raise
            self._num_bytes_before = self._flight.num_bytes
            logger.warning("a stream goes on with another generation, for its first one broke: %s", lost)
            await take(self._flight, self._generate)

    async def _generate(self, sink: AnswerSink) -> None:
        self._making = self._make(sink)
        await self._making.run()


async def take(flight: Flight, source: Source) -> None:
    """
    Give a flight all of the answer from `source`, or what it has not had of it.

    Raises:
        EngineFailed: it says something else than what the flight has had, or that is too long to be compared.
    """
    if not flight.has_content:
        await source(flight)
        return
    said = flight.said
    if said is None:
        raise EngineFailed("Whoever made this answer was lost, and it is too long to be made again.")
    splice = Splice(flight, said)
    taking = asyncio.ensure_future(source(splice))
    splice.on_diverged = taking.cancel
    try:
        await taking
    except asyncio.CancelledError:
        if splice.diverged is None:
            raise
    if splice.diverged is not None:
        raise splice.diverged
