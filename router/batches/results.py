"""Output and error file, put together from the parts that count: the same bytes, whoever does it."""

from collections.abc import AsyncIterator

from router.batches.asking import result_never_asked
from router.batches.files import FileRecord, FileShelf
from router.batches.identity import result_file_id
from router.batches.ledger import Ledger, Result
from router.batches.lines import lines_of_chunk
from router.batches.records import Batch, Closing, End, Reading
from router.batches.store import ObjectMissing, ObjectStore

NEVER_ASKED = {
    "expired": ("batch_expired", "The batch's completion window ended before this request was answered."),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this request was answered."),
    "failed": ("batch_failed", "The batch failed before this request was answered."),
    "completed": ("batch_failed", "There is no result for this request."),
}


class Results:
    """Of one batch that is closed."""

    def __init__(self, store: ObjectStore, files: FileShelf, ledger: Ledger, batch: Batch) -> None:
        assert batch.reading is not None  # noqa: S101 - closed batches have both
        assert batch.closing is not None  # noqa: S101
        self._store = store
        self._files = files
        self._ledger = ledger
        self._batch = batch
        self._reading: Reading = batch.reading
        self._closing: Closing = batch.closing

    async def write(self, now: int) -> End:
        """
        Write both files, as far as they have a line.

        Raises:
            ObjectMissing: another router has ended the batch in the meantime.
        """
        num_completed = 0
        async for results in self._ledger.read_parts(self._batch, self._closing.parts):
            num_completed += sum(one.is_ok for one in results)
        num_failed = self._reading.num_lines - num_completed
        output = await self._write_file("o", "output", wants_ok=True) if num_completed else None
        error = await self._write_file("e", "errors", wants_ok=False) if num_failed else None
        return End(now, num_completed, num_failed, output, error)

    async def _write_file(self, kind: str, word: str, *, wants_ok: bool) -> str:
        batch, at = self._batch, self._closing.at
        file_id = result_file_id(batch.id, kind)
        num_bytes = 0

        async def parts() -> AsyncIterator[bytes]:
            nonlocal num_bytes
            async for results in self._all():
                part = b"".join(one.entry + b"\n" for one in results if one.is_ok is wants_ok)
                num_bytes += len(part)
                if part:
                    yield part

        await self._files.write(batch.owner, file_id, parts())
        lifetime_s = batch.order.output_expires_after_s
        record = FileRecord(
            file_id, f"{batch.id}_{word}.jsonl", "batch_output", num_bytes, at, at + lifetime_s if lifetime_s else None
        )
        await self._files.publish(batch.owner, record)
        return file_id

    async def _all(self) -> AsyncIterator[list[Result]]:
        """Every line's result, in the order of the input."""
        counting = set(self._closing.parts)
        for chunk in range(self._reading.num_chunks):
            found: list[Result] = []
            if chunk in counting:
                async for part in self._ledger.read_parts(self._batch, [chunk]):
                    found = part
            if len(found) < self._num_lines_of(chunk):
                found = await self._completed(chunk, found)
            yield found

    async def _completed(self, chunk: int, found: list[Result]) -> list[Result]:
        """With a result for those lines that were never answered; without where the input file is gone."""
        order, bounds = self._batch.order, self._reading.bounds
        name = self._files.content_name(self._batch.owner, order.input_file_id)
        try:
            content = await self._store.read_range(name, bounds[chunk], bounds[chunk + 1])
        except ObjectMissing:
            return found
        by_number = {one.number: one for one in found}
        code, message = NEVER_ASKED[self._closing.reason]
        lines = lines_of_chunk(content, chunk, order.endpoint, self._reading.lines_per_chunk)
        return [by_number.get(line.number) or result_never_asked(self._batch.id, line, code, message) for line in lines]

    def _num_lines_of(self, chunk: int) -> int:
        size = self._reading.lines_per_chunk
        return min(size, self._reading.num_lines - chunk * size)
