"""Files: what clients upload, and what batches leave behind."""

import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass

import orjson

from router.batches.identity import files_folder, is_id, new_id
from router.batches.store import ObjectMissing, ObjectStore
from router.errors import ObjectNotFound


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file. Times are Unix times in seconds, as in OpenAI's objects."""

    id: str
    filename: str
    purpose: str
    bytes: int
    created_at: int
    expires_at: int | None = None

    def as_object(self) -> dict[str, object]:
        """OpenAI's file object."""
        return {"object": "file", "status": "processed", **asdict(self)}


class FileShelf:
    """
    The files of all owners. Each is two objects: `content`, and `file.json`, by whose creation the file exists.

    A file that has expired is not there, and is swept away by whoever comes across it.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def receive(self, owner: str, parts: AsyncIterator[bytes]) -> str:
        """Write a new file's content. Returns its id; there is no such file before `publish`."""
        file_id = new_id("file")
        await self._store.write_stream(self.content_name(owner, file_id), parts)
        return file_id

    async def publish(self, owner: str, record: FileRecord) -> None:
        """Let the file exist. Its content was written before."""
        await self._store.create(self._record_name(owner, record.id), orjson.dumps(asdict(record)))

    async def write(self, owner: str, file_id: str, parts: AsyncIterator[bytes]) -> None:
        """The content of a file of whose id and content all its writers have the same idea."""
        await self._store.write_stream(self.content_name(owner, file_id), parts)

    async def forget(self, owner: str, file_id: str) -> None:
        """Delete a file, or the content of one that was never published. The record goes first."""
        await self._store.delete(self._record_name(owner, file_id), self.content_name(owner, file_id))

    async def find(self, owner: str, file_id: str) -> FileRecord:
        """
        Raises:
            ObjectNotFound: the owner has no such file, or has it no longer.
        """
        record = await self._look_up(owner, file_id) if is_id(file_id) else None
        if record is None:
            raise ObjectNotFound(f"There is no file {file_id[:100]!r}.", param="file_id")
        return record

    async def list(self, owner: str) -> list[FileRecord]:
        """All files of an owner, the oldest first."""
        ids = await self._store.folders(files_folder(owner))
        found = [await self._look_up(owner, file_id) for file_id in ids]
        return [record for record in found if record is not None]

    async def stream(self, owner: str, record: FileRecord) -> AsyncIterator[bytes]:
        """
        Its content.

        Raises:
            ObjectNotFound: it was deleted just now.
        """
        try:
            return await self._store.read_stream(self.content_name(owner, record.id))
        except ObjectMissing:
            raise ObjectNotFound(f"There is no file {record.id!r}.", param="file_id") from None

    async def _look_up(self, owner: str, file_id: str) -> FileRecord | None:
        try:
            record = FileRecord(**orjson.loads(await self._store.read(self._record_name(owner, file_id))))
        except ObjectMissing:
            return None
        if record.expires_at is not None and record.expires_at <= time.time():
            await self.forget(owner, file_id)
            return None
        return record

    @staticmethod
    def content_name(owner: str, file_id: str) -> str:
        return f"{files_folder(owner)}/{file_id}/content"

    @staticmethod
    def _record_name(owner: str, file_id: str) -> str:
        return f"{files_folder(owner)}/{file_id}/file.json"
