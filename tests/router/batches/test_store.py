"""What batches ask of a store, of a folder and of a real S3 server alike."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from batching import begin, ended, entries, jsonl, line, sdk
from door import Door
from pydantic import TypeAdapter
from s3_server import S3Server

from configs.batches import BatchSettings, BatchStoreSettings
from router.batches.service import Batches
from router.batches.store import ObjectMissing, ObjectStore, SecretNotSet
from router.errors import StoreUnavailable

NUM_WRITERS = 12


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    """Of a store that is empty."""
    if request.param == "folder":
        return {"type": "folder", "path": str(tmp_path / "store")}
    server: S3Server = request.getfixturevalue("s3")
    return server.settings(prefix=tmp_path.name)


@pytest.fixture
def store(settings: dict[str, object]) -> ObjectStore:
    parsed = TypeAdapter[object](BatchStoreSettings).validate_python(settings)
    return ObjectStore.open(parsed, S3Server.environment)  # type: ignore[arg-type] - one of the two


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_object_is_created_once(store: ObjectStore) -> None:
    """Of many writers one creates it, and its content stands."""
    created = await asyncio.gather(*[store.create("a/b", b"%d" % number) for number in range(NUM_WRITERS)])
    assert 1 == sum(created)
    assert b"%d" % created.index(True) == await store.read("a/b")
    assert not await store.create("a/b", b"later")


async def test_a_lease_may_change(store: ObjectStore) -> None:
    """`write` is the last writer's."""
    await store.write("a", b"1")
    await store.write("a", b"2")
    assert b"2" == await store.read("a")


async def test_a_range_and_a_stream(store: ObjectStore) -> None:
    """What came in parts is one object, read as a whole or in part."""
    parts = [bytes([number]) * 1_500_000 for number in range(8)]
    await store.write_stream("big", parts_of(*parts))
    read = b"".join([part async for part in await store.read_stream("big")])
    assert b"".join(parts) == read
    assert b"\0\1" == await store.read_range("big", 1_499_999, 1_500_001)


async def test_a_stream_that_breaks_writes_nothing(store: ObjectStore) -> None:
    """Its error is raised as it was."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 6_000_000
        raise LookupError("the source broke")

    with pytest.raises(LookupError, match="the source broke"):
        await store.write_stream("half", broken())
    with pytest.raises(ObjectMissing):
        await store.read("half")


async def test_names_and_folders(store: ObjectStore) -> None:
    """In order, as they are below their folder."""
    for name in ("f/b/2", "f/a/1", "f/c", "g/x"):
        await store.create(name, b"")
    assert ["a/1", "b/2", "c"] == await store.names("f")
    assert ["a", "b"] == await store.folders("f")
    assert ([], []) == (await store.names("none"), await store.folders("none"))


async def test_what_is_missing(store: ObjectStore) -> None:
    """Reading says so; deleting does not mind."""
    await store.delete("nothing")
    for read in (store.read("nothing"), store.read_range("nothing", 0, 1), store.read_stream("nothing")):
        with pytest.raises(ObjectMissing):
            await read


async def test_a_whole_batch(settings: dict[str, object], open_house: object, house: Door) -> None:
    """Uploaded, answered, and read back."""
    batches = Batches.open(BatchSettings.model_validate({"store": settings}), S3Server.environment, house.state)
    assert batches is not None
    assert house.state.batches is not None
    await house.state.batches.close()
    house.state.batches = batches
    batches.run_lines()
    async with sdk(house) as client:
        batch = await ended(client, await begin(client, jsonl([line(str(number), "x") for number in range(40)])))
        output = await entries(client, batch.output_file_id)
    assert ("completed", [str(number) for number in range(40)]) == (batch.status, [one["custom_id"] for one in output])


def test_a_key_that_is_not_set() -> None:
    """The variable is named, on whichever node it is missing."""
    names = {"access_key_id_env": "SOME_KEY_ID", "secret_access_key_env": "SOME_KEY"}
    parsed = TypeAdapter[object](BatchStoreSettings).validate_python({"type": "s3", "bucket": "batches", **names})
    with pytest.raises(SecretNotSet, match="SOME_KEY_ID"):
        ObjectStore.open(parsed, {"SOME_KEY": "here"})  # type: ignore[arg-type] - one of the two


async def test_a_server_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours, without the library's words."""
    monkeypatch.setattr("router.batches.store.TIMEOUT_S", 0.2)
    settings = {"type": "s3", "bucket": "house", "endpoint": "http://127.0.0.1:9", **dict.fromkeys(
        ("access_key_id_env", "secret_access_key_env"), "S3_ID")}  # fmt: skip
    store = ObjectStore.open(TypeAdapter[object](BatchStoreSettings).validate_python(settings), S3Server.environment)  # type: ignore[arg-type] - an S3 store
    with pytest.raises(StoreUnavailable, match=r"The store for files and batches failed \(\w+\)"):
        await store.read("x")
