"""
The work on one batch, from wherever its records say that it stands.

    read the file -> answer its lines, chunk by chunk -> close -> write the results -> end
"""

import asyncio
import logging
import random
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from router.batches import asking
from router.batches.files import FileShelf
from router.batches.identity import tenant_of
from router.batches.lease import Lease, LeaseLost
from router.batches.ledger import Ledger, Result
from router.batches.lines import FileCheck, Line, lines_of_chunk
from router.batches.records import Batch, Closing, Fault, Reading, Reason
from router.batches.results import Results
from router.batches.store import ObjectMissing, ObjectStore
from router.call import ROUTES
from router.canary.choice import without_trials
from router.errors import ServingError, StoreUnavailable
from router.lanes.lanes import Yielded
from router.metrics import BATCH_LINES, BATCHES
from router.routing.admission import facts_of
from router.state import RouterState

logger = logging.getLogger("enginehouse.batches")

LOOK_S = 1.0
"""How often a batch under way is asked for in the store whether it was cancelled, in seconds."""
_FEED_BYTES = 65_536
"""Of a file that are looked at before the event loop turns to others: about a millisecond's work."""
_RENEW_S = 4.0
_RAMP_S = 0.1
"""How often new chunks are opened while slots are free, in seconds."""
_MAX_PAUSE_S = 30.0
_RETRIED_FOR_EVER = (429, 503)
"""Overload ends, and a replica comes: until then, or until the batch expires."""
_MAX_FAILURES = 3
"""Tries of a line that an engine failed on, or that timed out."""


class _InputGone(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Shop:
    """What works on batches share in one router."""

    state: RouterState
    store: ObjectStore
    files: FileShelf
    ledger: Ledger
    max_lines: int


class Work:
    """One router's work on one batch. `run` may be cancelled at any moment; another work goes on from there."""

    def __init__(self, shop: Shop, batch: Batch, lease: Lease) -> None:
        self._shop = shop
        self._batch = batch
        self._lease = lease
        self._unfinished: dict[int, list[Result]] = {}
        """Results of chunks under way."""
        self._applications: set[str] = set()
        self.look_now = asyncio.Event()
        """Set where the batch has been cancelled by way of this router."""

    async def run(self) -> None:
        """
        Raises:
            StoreUnavailable: the store does not answer. What was done before is kept.
        """
        try:
            await self._run()
        except LeaseLost:
            logger.info("batch %s is another router's now", self._batch.id)
        except ObjectMissing:  # swept away by a router that was faster
            logger.info("batch %s was ended by another router", self._batch.id)

    async def _run(self) -> None:
        ledger = self._shop.ledger
        if self._batch.reading is None:
            reading = await self._read_input()
            if await ledger.add_reading(self._batch, reading):
                self._count("failed" if reading.faults else "in_progress")
            await self._look_up()
        if not self._batch.is_over and self._batch.closing is None:
            await ledger.add_closing(self._batch, await self._answer())
            await self._look_up()
        if not self._batch.is_over:
            shop = self._shop
            end = await Results(shop.store, shop.files, ledger, self._batch).write(int(time.time()))
            if await ledger.add_end(self._batch, end) and self._batch.closing is not None:
                self._count(self._batch.closing.reason)
                logger.info("batch %s: %s", self._batch.id, self._batch.closing.reason)
        await ledger.sweep(self._batch)

    async def _look_up(self) -> None:
        self._batch = await self._shop.ledger.find(self._batch.owner, self._batch.id)

    # validating

    async def _read_input(self) -> Reading:
        state, order = self._shop.state, self._batch.order
        check = FileCheck(order.endpoint, self._shop.max_lines, state.listener.max_body_bytes, state.table.has_name)
        try:
            parts = await self._shop.store.read_stream(self._input_name)
        except ObjectMissing:
            return Reading(int(time.time()), 0, 1, [], [_gone(order.input_file_id)])
        async for part in parts:
            for start in range(0, len(part), _FEED_BYTES):
                check.feed(part[start : start + _FEED_BYTES])
                await asyncio.sleep(0)
            if check.is_hopeless:
                break
        return check.finish(int(time.time()))

    # in progress

    async def _answer(self) -> Closing:
        answering = asyncio.create_task(self._answer_chunks())
        watching = asyncio.create_task(self._until_stopped())
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_answered = answering.done()
            for task in (answering, watching):
                task.cancel()
            await asyncio.gather(answering, watching, return_exceptions=True)
        reason: Reason = "completed"
        fault = None
        if not is_answered:
            reason = watching.result()
            for number, results in self._unfinished.items():
                if results:
                    await self._keep(number, results)
        elif isinstance(answering.exception(), _InputGone):
            reason, fault = "failed", _gone(self._batch.order.input_file_id)
        else:
            answering.result()
        return Closing(int(time.time()), reason, await self._shop.ledger.parts(self._batch), fault)

    async def _until_stopped(self) -> Reason:
        """
        Raises:
            LeaseLost: another router works on the batch, or has closed it.
        """
        renew_at = 0.0
        while True:
            now = time.time()
            if now >= self._batch.order.expires_at:
                return "expired"
            try:
                if await self._shop.ledger.is_cancelled(self._batch):
                    return "cancelled"
                if now >= renew_at:
                    renew_at = now + _RENEW_S
                    if await self._shop.ledger.is_closed(self._batch):
                        raise LeaseLost
                    await self._lease.renew()
            except StoreUnavailable as error:
                logger.warning("batch %s: %s", self._batch.id, error)
            self.look_now.clear()
            try:
                async with asyncio.timeout(max(0.01, min(LOOK_S, self._batch.order.expires_at - now))):
                    await self.look_now.wait()
            except TimeoutError:
                continue

    async def _answer_chunks(self) -> None:
        """Every chunk that has no part yet. As many at once as have lines for the free slots, and one more."""
        reading = self._batch.reading
        assert reading is not None  # noqa: S101 - lines are answered after the file was read
        is_done = set(await self._shop.ledger.parts(self._batch))
        under_way: set[asyncio.Task[None]] = set()
        try:
            for number in range(reading.num_chunks):
                if number in is_done:
                    continue
                while under_way and (len(under_way) - 1) * reading.lines_per_chunk >= self._capacity():
                    under_way = await _reap(under_way, _RAMP_S)
                under_way.add(asyncio.create_task(self._answer_chunk(number, reading)))
                await asyncio.sleep(0)
            while under_way:
                under_way = await _reap(under_way, None)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _capacity(self) -> int:
        return sum(self._shop.state.lanes.capacity(application) for application in self._applications)

    async def _answer_chunk(self, number: int, reading: Reading) -> None:
        try:
            content = await self._shop.store.read_range(
                self._input_name, reading.bounds[number], reading.bounds[number + 1]
            )
        except ObjectMissing:
            raise _InputGone from None
        results = self._unfinished[number] = []
        lines = list(lines_of_chunk(content, number, self._batch.order.endpoint, reading.lines_per_chunk))
        await _all([self._answer_line(line, results) for line in lines])
        await self._keep(number, results)
        del self._unfinished[number]

    async def _keep(self, number: int, results: list[Result]) -> None:
        if await self._shop.ledger.add_part(self._batch, number, results):
            for one in results:
                self._count_line("completed" if one.is_ok else "failed")

    async def _answer_line(self, line: Line, results: list[Result]) -> None:
        error = asking.refusal(line)
        if error is None:
            try:
                results.append(await self._ask(line))
            except ServingError as raised:
                error = raised
        if error is not None:
            results.append(asking.result_of_error(self._batch.id, line, error))

    async def _ask(self, line: Line) -> Result:
        """Ask until there is an answer that asking again would not change."""
        shop = self._shop
        route = ROUTES[self._batch.order.endpoint]
        body = asking.encode_line(line)
        tenant = tenant_of(self._batch.owner)
        num_tries = 0
        while True:
            choice = shop.state.table.choose(line.model, lambda: facts_of(route, line.body, len(body), [], tenant))
            application = without_trials(choice.model).applications[0]
            self._applications.add(application)
            try:
                reply = await shop.state.lanes.run_line(
                    application, lambda: asking.ask(shop.state, route, body, tenant)
                )
            except Yielded:
                self._count_line("yielded")
                continue
            num_tries += 1
            is_hopeless = reply.status is not None and reply.status < 500 and reply.status not in _RETRIED_FOR_EVER
            is_last = reply.status not in (None, *_RETRIED_FOR_EVER) and num_tries >= _MAX_FAILURES
            if is_hopeless or is_last:
                return asking.result_of_reply(self._batch.id, line, reply)
            self._count_line("retried")
            pause_s = min(_MAX_PAUSE_S, 0.25 * 2 ** min(num_tries, 10))
            await asyncio.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - so that lines do not come back as one

    @property
    def _input_name(self) -> str:
        return self._shop.files.content_name(self._batch.owner, self._batch.order.input_file_id)

    def _count(self, state: str) -> None:
        self._shop.state.sink.record(BATCHES, 1, {"state": state})

    def _count_line(self, outcome: str) -> None:
        self._shop.state.sink.record(BATCH_LINES, 1, {"endpoint": self._batch.order.endpoint, "outcome": outcome})


async def _reap(under_way: set[asyncio.Task[None]], timeout_s: float | None) -> set[asyncio.Task[None]]:
    """Those that still run, after one has ended or the time is over. Raises what one raised."""
    done, rest = await asyncio.wait(under_way, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return rest


async def _all(coroutines: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all of them; the first error, bare, ends the others."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _gone(file_id: str) -> Fault:
    return Fault("input_file_gone", f"The input file {file_id!r} is no longer there.", param="input_file_id")
