"""Batches in the store. A batch's state is which of its objects exist; each is created once, by whoever is first."""

import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from router.batches.identity import OPEN_FOLDER, batches_folder, is_id
from router.batches.records import Batch, Closing, End, Fault, Order, Reading
from router.batches.store import ObjectMissing, ObjectStore
from router.errors import ObjectNotFound

_COUNTS_BYTES = 32
"""Length of a part's first line, which has its counts: read alone, they cost little."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line's outcome. `number` counts from 0. `entry` is the line of the output or error file that it becomes."""

    number: int
    is_ok: bool
    entry: bytes


def encode_part(results: list[Result]) -> bytes:
    num_ok = sum(one.is_ok for one in results)
    head = f"{num_ok} {len(results) - num_ok}".ljust(_COUNTS_BYTES - 1) + "\n"
    lines = [b"%d %d %s\n" % (one.number, one.is_ok, one.entry) for one in sorted(results, key=lambda one: one.number)]
    return head.encode() + b"".join(lines)


def decode_part(content: bytes) -> list[Result]:
    results = []
    for line in content[_COUNTS_BYTES:].split(b"\n")[:-1]:
        number, is_ok, entry = line.split(b" ", 2)
        results.append(Result(int(number), is_ok == b"1", entry))
    return results


class Ledger:
    """The batches of all owners."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._counts: dict[str, dict[str, tuple[int, int]]] = {}
        """Of the parts of batches that are not over, by batch and part: parts never change."""

    # to ask

    async def find(self, owner: str, batch_id: str) -> Batch:
        """
        Raises:
            ObjectNotFound: the owner has no such batch.
        """
        if not is_id(batch_id):
            raise _no_batch(batch_id)
        try:
            order = Order(**await self._read(owner, batch_id, "batch.json"))
        except ObjectMissing:
            raise _no_batch(batch_id) from None
        names = await self._store.names(self._folder(owner, batch_id))
        reading = await self._read(owner, batch_id, "read.json") if "read.json" in names else None
        cancelled = await self._read(owner, batch_id, "cancel.json") if "cancel.json" in names else {}
        closing = await self._read(owner, batch_id, "closing.json") if "closing.json" in names else None
        end = await self._read(owner, batch_id, "end.json") if "end.json" in names else None
        return Batch(
            owner,
            order,
            Reading(**{**reading, "faults": [Fault(**one) for one in reading["faults"]]}) if reading else None,
            cancelled.get("at"),
            Closing(**{**closing, "fault": Fault(**closing["fault"]) if closing["fault"] else None})
            if closing
            else None,
            End(**end) if end else None,
        )

    async def ids(self, owner: str) -> list[str]:
        """Of an owner's batches, the oldest first."""
        return await self._store.folders(batches_folder(owner))

    async def counts(self, batch: Batch) -> tuple[int, int]:
        """Lines so far that were answered, and that failed."""
        if batch.is_over:
            self._counts.pop(batch.id, None)
            return (batch.end.num_completed, batch.end.num_failed) if batch.end else (0, 0)
        known = self._counts.setdefault(batch.id, {})
        folder = f"{self._folder(batch.owner, batch.id)}/parts"
        try:
            for name in await self._store.names(folder):
                if name not in known:
                    head = await self._store.read_range(f"{folder}/{name}", 0, _COUNTS_BYTES)
                    num_ok, num_failed = head.split()
                    known[name] = (int(num_ok), int(num_failed))
        except ObjectMissing:  # another router has ended the batch, and swept its parts away
            pass
        return sum(one[0] for one in known.values()), sum(one[1] for one in known.values())

    async def open_batches(self) -> list[tuple[str, str]]:
        """Owner and id of the batches that may not be over, the oldest first."""
        found = []
        for batch_id in await self._store.names(OPEN_FOLDER):
            try:
                found.append(((await self._store.read(f"{OPEN_FOLDER}/{batch_id}")).decode(), batch_id))
            except ObjectMissing:  # just ended
                continue
        return found

    # to go on: each says whether this call did it, rather than another router's

    async def create(self, owner: str, order: Order) -> Batch:
        """The mark comes first: without it nobody would ever work on the batch."""
        await self._store.create(f"{OPEN_FOLDER}/{order.id}", owner.encode())
        await self._create(owner, order.id, "batch.json", order)
        return Batch(owner, order)

    async def cancel(self, batch: Batch) -> None:
        name = f"{self._folder(batch.owner, batch.id)}/cancel.json"
        await self._store.create(name, orjson.dumps({"at": int(time.time())}))

    async def is_cancelled(self, batch: Batch) -> bool:
        try:
            await self._read(batch.owner, batch.id, "cancel.json")
        except ObjectMissing:
            return False
        return True

    async def is_closed(self, batch: Batch) -> bool:
        try:
            await self._read(batch.owner, batch.id, "closing.json")
        except ObjectMissing:
            return False
        return True

    async def add_reading(self, batch: Batch, reading: Reading) -> bool:
        return await self._create(batch.owner, batch.id, "read.json", reading)

    async def add_closing(self, batch: Batch, closing: Closing) -> bool:
        return await self._create(batch.owner, batch.id, "closing.json", closing)

    async def add_end(self, batch: Batch, end: End) -> bool:
        return await self._create(batch.owner, batch.id, "end.json", end)

    async def sweep(self, batch: Batch) -> None:
        """Remove what a batch that is over leaves behind."""
        folder = self._folder(batch.owner, batch.id)
        await self._store.delete(f"{OPEN_FOLDER}/{batch.id}", f"{folder}/lease.json")
        await self._store.delete(*[f"{folder}/parts/{name}" for name in await self._store.names(f"{folder}/parts")])
        self._counts.pop(batch.id, None)

    async def drop_mark(self, batch_id: str) -> None:
        """Of a batch whose creation did not come to its end."""
        await self._store.delete(f"{OPEN_FOLDER}/{batch_id}")

    # parts

    async def parts(self, batch: Batch) -> list[int]:
        return [int(name) for name in await self._store.names(f"{self._folder(batch.owner, batch.id)}/parts")]

    async def add_part(self, batch: Batch, number: int, results: list[Result]) -> bool:
        """Whether it was added: a part that another router has brought before stands."""
        return await self._store.create(self._part_name(batch, number), encode_part(results))

    async def read_parts(self, batch: Batch, numbers: list[int]) -> AsyncIterator[list[Result]]:
        """
        Raises:
            ObjectMissing: another router has ended the batch, and swept its parts away.
        """
        for number in numbers:
            yield decode_part(await self._store.read(self._part_name(batch, number)))

    # leases

    async def read_lease(self, batch: Batch) -> dict[str, Any] | None:
        try:
            return await self._read(batch.owner, batch.id, "lease.json")
        except ObjectMissing:
            return None

    async def write_lease(self, batch: Batch, lease: dict[str, Any]) -> None:
        await self._store.write(f"{self._folder(batch.owner, batch.id)}/lease.json", orjson.dumps(lease))

    def _part_name(self, batch: Batch, number: int) -> str:
        return f"{self._folder(batch.owner, batch.id)}/parts/{number:07d}"

    @staticmethod
    def _folder(owner: str, batch_id: str) -> str:
        return f"{batches_folder(owner)}/{batch_id}"

    async def _read(self, owner: str, batch_id: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(await self._store.read(f"{self._folder(owner, batch_id)}/{name}"))
        return found

    async def _create(self, owner: str, batch_id: str, name: str, record: Order | Reading | Closing | End) -> bool:
        return await self._store.create(f"{self._folder(owner, batch_id)}/{name}", orjson.dumps(asdict(record)))


def _no_batch(batch_id: str) -> ObjectNotFound:
    return ObjectNotFound(f"There is no batch {batch_id[:100]!r}.", param="batch_id")
