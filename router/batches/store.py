"""Objects in a folder or a bucket: created once, never changed. The only place that knows obstore."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from configs.batches import FolderStoreSettings, S3StoreSettings
from router.errors import StoreUnavailable

if TYPE_CHECKING:  # it exists for type checkers only
    from obstore.store import S3Config

T = TypeVar("T")
logger = logging.getLogger("enginehouse.batches")

TIMEOUT_S = 30.0
"""For one exchange with a bucket, retries included, in seconds."""
_READ_CHUNK_BYTES = 1_048_576
_WRITE_CHUNK_BYTES = 5_242_880
"""S3's smallest part of an upload in parts, in bytes."""


class ObjectMissing(Exception):
    """There is no object of that name."""


class SecretNotSet(Exception):
    """An environment variable that the settings name is not set, or empty; the message says which."""


class ObjectStore:
    """
    Objects by name, a path with `/`.

    Every method raises StoreUnavailable when the store does not answer, or not as it should.
    """

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store

    @classmethod
    def open(cls, settings: FolderStoreSettings | S3StoreSettings, environment: Mapping[str, str]) -> "ObjectStore":
        """
        Nothing is written and nobody is asked, except that a folder is made.

        Raises:
            SecretNotSet: an environment variable that the settings name is not set.
            OSError: the folder cannot be made.
        """
        if isinstance(settings, FolderStoreSettings):
            folder = Path(settings.path).expanduser()
            folder.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(folder))
        return cls(_bucket(settings, environment))

    async def create(self, name: str, content: bytes) -> bool:
        """Whether this call created the object: of several, with whatever content, one does."""
        try:
            await _told(self._store.put_async(name, content, mode="create", use_multipart=False))
        except AlreadyExistsError:
            return False
        return True

    async def write(self, name: str, content: bytes) -> None:
        """Create the object or change it. For leases, which promise nothing."""
        await _told(self._store.put_async(name, content, use_multipart=False))

    async def write_stream(self, name: str, parts: AsyncIterator[bytes]) -> None:
        """
        An object whose content comes in parts; it appears as a whole, once `parts` has ended.

        For names that only one writer knows, or for content that all writers agree on. What `parts` raises is raised
        again, and nothing is written.
        """
        guarded = _Guarded(parts)
        try:
            await self._store.put_async(name, guarded, chunk_size=_WRITE_CHUNK_BYTES, max_concurrency=2)
        except BaseException as error:
            if guarded.failure is not None:
                raise guarded.failure from None
            if isinstance(error, BaseError | OSError):
                raise _unavailable(error) from error
            raise

    async def read(self, name: str) -> bytes:
        """
        Raises:
            ObjectMissing: there is none.
        """
        found = await _told(self._store.get_async(name))
        return bytes(await _told(found.bytes_async()))

    async def read_range(self, name: str, start: int, end: int) -> bytes:
        """
        Bytes `start` to `end`, without that at `end`.

        Raises:
            ObjectMissing: there is none.
        """
        return bytes(await _told(self._store.get_range_async(name, start=start, end=end)))

    async def read_stream(self, name: str) -> AsyncIterator[bytes]:
        """
        The content in parts of about a megabyte.

        Raises:
            ObjectMissing: there is none. Raised here, not while reading.
        """
        found = await _told(self._store.get_async(name))
        return _parts(found.stream(min_chunk_size=_READ_CHUNK_BYTES))

    async def names(self, folder: str) -> list[str]:
        """All objects below a folder, by their names in it, in order."""
        try:
            found = [meta["path"] async for page in self._store.list(folder) for meta in page]
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        return sorted(path.removeprefix(f"{folder}/") for path in found)

    async def folders(self, folder: str) -> list[str]:
        """The folders directly below a folder, by their names in it, in order."""
        found = await _told(self._store.list_with_delimiter_async(folder))
        return sorted(path.removeprefix(f"{folder}/").strip("/") for path in found["common_prefixes"])

    async def delete(self, *names: str) -> None:
        """Delete what is there of these."""
        for name in names:
            try:
                await _told(self._store.delete_async(name))
            except ObjectMissing:
                continue


class _Guarded:
    """Remembers what its source raised: obstore would hide it in an error of its own."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts
        self.failure: Exception | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._parts)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.failure = error
            raise


def _bucket(settings: S3StoreSettings, environment: Mapping[str, str]) -> S3Store:
    config: S3Config = {"bucket": settings.bucket, "region": settings.region}
    if settings.endpoint is not None:
        config["endpoint"] = settings.endpoint
    if settings.access_key_id_env is not None and settings.secret_access_key_env is not None:
        config["access_key_id"] = _secret(environment, settings.access_key_id_env)
        config["secret_access_key"] = _secret(environment, settings.secret_access_key_env)
    is_plain = settings.endpoint is not None and settings.endpoint.startswith("http://")
    return S3Store(
        prefix=settings.prefix.strip("/") or None,
        config=config,
        client_options={"allow_http": is_plain, "timeout": timedelta(seconds=TIMEOUT_S)},
        retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=TIMEOUT_S)},
    )


def _secret(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SecretNotSet(f"the environment variable {name} must hold a key of the batches' store, and is not set")
    return value


async def _parts(stream: AsyncIterator[object]) -> AsyncIterator[bytes]:
    try:
        async for part in stream:
            yield bytes(part)  # type: ignore[call-overload] # obstore's Bytes is a buffer
    except (BaseError, OSError) as error:
        raise _unavailable(error) from error


async def _told(answer: Awaitable[T]) -> T:
    """The store's answer, its errors made ours; that an object exists is the caller's to know."""
    try:
        return await answer
    except asyncio.CancelledError:
        raise
    except AlreadyExistsError:
        raise
    except FileNotFoundError as error:
        raise ObjectMissing(str(error)) from None
    except (BaseError, OSError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> StoreUnavailable:
    kind = type(error).__name__
    logger.warning("the store for files and batches failed: %.500s", error)
    return StoreUnavailable(f"The store for files and batches failed ({kind}).", retry_after_s=5)
