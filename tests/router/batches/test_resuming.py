"""A batch whose router is gone, or that two routers work on: every line once."""

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from batching import OpenHouse, begin, ended, entries, jsonl, line, sdk
from echo_engine import EchoEngine
from hypothesis import given, settings
from hypothesis import strategies as st
from polling import eventually

from configs.batches import FolderStoreSettings
from router.batches.asking import result_of_error
from router.batches.files import FileRecord, FileShelf
from router.batches.ledger import Ledger, Result, decode_part, encode_part
from router.batches.lines import LINES_PER_CHUNK, FileCheck, lines_of_chunk
from router.batches.records import Batch, Closing, Order
from router.batches.results import Results
from router.batches.store import ObjectStore
from router.errors import EngineFailed

NUM_LINES = 100
PROMPTS = [f"p{number}" for number in range(NUM_LINES)]
ENDPOINT = "/v1/chat/completions"


async def test_another_router_goes_on_where_one_was_stopped(open_house: OpenHouse, echo: EchoEngine) -> None:
    """What was kept is not asked again; every line is in the output once, in order."""
    echo.open.clear()
    held = 2 * LINES_PER_CHUNK + 4
    unfinished = PROMPTS[2 * LINES_PER_CHUNK : 3 * LINES_PER_CHUNK]
    echo.never_held = frozenset(PROMPTS) - {PROMPTS[held]}
    first = await open_house("router-1")
    async with sdk(first) as client:
        batch = await begin(client, jsonl([line(prompt, prompt) for prompt in PROMPTS]))
        async with asyncio.timeout(60):
            while (batch.request_counts.completed if batch.request_counts else 0) < NUM_LINES - LINES_PER_CHUNK:
                batch = await client.batches.retrieve(batch.id)
        assert first.state.batches is not None
        await first.state.batches.close()
    echo.open.set()
    second = await open_house("router-2")
    async with sdk(second) as client:
        batch = await ended(client, batch)
        output = await entries(client, batch.output_file_id)
    assert "completed" == batch.status
    assert PROMPTS == [one["custom_id"] for one in output]
    assert Counter(PROMPTS) + Counter(unfinished) == echo.asked


async def test_two_routers_on_one_batch_double_nothing(
    open_house: OpenHouse, echo: EchoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where both believe that it is theirs: leases are advice, and objects are created once."""

    async def always(_self: object) -> bool:
        return True

    monkeypatch.setattr("router.batches.lease.Lease.take", always)
    monkeypatch.setattr("router.batches.lease.Lease._is_free", always)
    doors = [await open_house(f"router-{number}") for number in range(2)]
    for door in doors:
        door.serve_with(echo.replica("large", max_num_seqs=256))  # room for the lines of both
    echo.open.clear()
    async with sdk(doors[0]) as client:
        batch = await begin(client, jsonl([line(prompt, prompt) for prompt in PROMPTS]))
        await eventually(lambda: echo.asked["p0"] == 2)
        echo.open.set()
        batch = await ended(client, batch)
        output = await entries(client, batch.output_file_id)
        counts = batch.request_counts
    assert ("completed", NUM_LINES, 0) == (batch.status, counts and counts.completed, counts and counts.failed)
    assert PROMPTS == [one["custom_id"] for one in output]


async def test_one_router_works_on_a_batch_at_a_time(
    open_house: OpenHouse, echo: EchoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease keeps the other away: nothing is asked twice."""
    monkeypatch.setattr("router.batches.lease._SETTLE_S", 1.0)  # a write may take longer than tests wait elsewhere
    doors = [await open_house(f"router-{number}") for number in range(2)]
    async with sdk(doors[1]) as client:
        batch = await ended(client, await begin(client, jsonl([line(prompt, prompt) for prompt in PROMPTS])))
    assert "completed" == batch.status
    assert {1} == set(echo.asked.values())


async def test_a_client_of_the_models_only_slot_goes_before_a_line(open_house: OpenHouse, echo: EchoEngine) -> None:
    """The line is aborted down to the engine, asked again afterwards, and is in the output once."""
    door = await open_house()
    door.serve_with(echo.replica("small", max_num_seqs=1))
    echo.open.clear()
    async with sdk(door) as client:
        batch = await begin(client, jsonl([line("only", "from the batch")]))
        await eventually(lambda: echo.asked["from the batch"])
        chat = asyncio.create_task(
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "from a client"}])
        )
        await eventually(lambda: echo.asked["from a client"] and echo.num_running == 1)
        assert 1 == echo.asked["from the batch"]
        echo.open.set()
        assert "re: from a client" == (await chat).choices[0].message.content
        batch = await ended(client, batch)
        output = await entries(client, batch.output_file_id)
    assert ("completed", ["only"]) == (batch.status, [one["custom_id"] for one in output])
    assert {"from the batch": 2, "from a client": 1} == echo.asked


async def test_clients_of_another_router_are_made_room_for(open_house: OpenHouse, echo: EchoEngine) -> None:
    """By what the engine says: of eight slots five are theirs, one is kept free, and two are left for lines."""
    door, other = await open_house("router-1"), await open_house("router-2")
    assert other.state.batches is not None
    await other.state.batches.close()
    echo.open.clear()
    async with sdk(door) as client, sdk(other) as elsewhere:
        batch = await begin(client, jsonl([line(prompt, prompt) for prompt in PROMPTS]))
        await eventually(lambda: echo.num_running == 6)
        chats = [
            asyncio.create_task(
                elsewhere.chat.completions.create(model="m", messages=[{"role": "user", "content": "from a client"}])
            )
            for _ in range(5)
        ]
        await eventually(lambda: (echo.asked["from a client"], door.num_running, echo.num_running) == (5, 2, 7))
        echo.open.set()
        await asyncio.gather(*chats)
        batch = await ended(client, batch)
        output = await entries(client, batch.output_file_id)
    assert PROMPTS == [one["custom_id"] for one in output]


@given(st.lists(st.builds(Result, st.integers(0, 99), st.booleans(), st.binary().map(lambda b: b.replace(b"\n", b"")))))
def test_a_part_reads_as_it_was_written(results: list[Result]) -> None:
    """In the order of its lines."""
    assert sorted(results, key=lambda one: one.number) == decode_part(encode_part(results))


@given(
    st.lists(st.sampled_from([b"", b" ", b"line"]), max_size=70),
    st.integers(1, 50),
    st.booleans(),
)
def test_chunks_hold_every_line_once(kinds: list[bytes], cut: int, ends_with_newline: bool) -> None:  # noqa: FBT001 - drawn
    """However the file comes in parts, and with blank lines anywhere."""
    texts = [jsonl([line(str(at), "x")])[:-1] if kind == b"line" else kind for at, kind in enumerate(kinds)]
    content = b"\n".join(texts) + (b"\n" if ends_with_newline else b"")
    check = FileCheck(ENDPOINT, 1000, 10_000)
    for start in range(0, len(content), cut):
        check.feed(content[start : start + cut])
    reading = check.finish(0)
    found = [
        one
        for chunk in range(reading.num_chunks)
        for one in lines_of_chunk(
            content[reading.bounds[chunk] : reading.bounds[chunk + 1]], chunk, ENDPOINT, reading.lines_per_chunk
        )
    ]
    expected = [str(at) for at, kind in enumerate(kinds) if kind == b"line"]
    assert expected == [one.custom_id for one in found]
    assert list(range(len(expected))) == [one.number for one in found]
    assert len(expected) == reading.num_lines


@settings(max_examples=25)
@given(
    st.integers(1, 5 * LINES_PER_CHUNK),
    st.sets(st.integers(0, 4)),
    st.sets(st.integers(0, 5 * LINES_PER_CHUNK)),
    st.sets(st.integers(0, 5 * LINES_PER_CHUNK)),
)
def test_results_have_every_line_once_whatever_parts_there_are(
    num_lines: int, chunks: set[int], answered: set[int], failed: set[int]
) -> None:
    """Parts may be missing, or have some of their lines only: the rest is in the error file as never asked."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = asyncio.run(_put_together(folder, num_lines, chunks, answered - failed, failed))
    assert sorted(output + errors, key=int) == [str(number) for number in range(num_lines)]
    assert output == [
        str(one) for one in range(num_lines) if one // LINES_PER_CHUNK in chunks and one in answered - failed
    ]
    assert errors == sorted(errors, key=int)


async def _put_together(
    folder: str, num_lines: int, chunks: set[int], answered: set[int], failed: set[int]
) -> tuple[list[str], list[str]]:
    """The custom ids of both files of a batch that was cancelled with these parts."""
    store = ObjectStore.open(FolderStoreSettings(type="folder", path=str(Path(folder))), {})
    files, ledger = FileShelf(store), Ledger(store)
    content = jsonl([line(str(number), "x") for number in range(num_lines)])

    async def parts():  # type: ignore[no-untyped-def] # noqa: ANN202 - one part
        yield content

    file_id = await files.receive("me", parts())
    await files.publish("me", FileRecord(file_id, "in", "batch", len(content), 0))
    check = FileCheck(ENDPOINT, 1000, 10_000)
    check.feed(content)
    batch = Batch("me", Order("batch_0123456789abc", ENDPOINT, file_id, "24h", 0, 86_400), check.finish(0))
    for chunk in chunks:
        numbers = [one for one in answered | failed if one // LINES_PER_CHUNK == chunk and one < num_lines]
        asked = [one for one in lines_of_chunk(content, 0, ENDPOINT, 1) if one.number in numbers]
        results = [result_of_error(batch.id, one, EngineFailed("no")) for one in asked]
        await ledger.add_part(batch, chunk, [Result(r.number, r.number in answered, r.entry) for r in results])
    numbers = [one for one in await ledger.parts(batch) if one * LINES_PER_CHUNK < num_lines]
    closed = Batch(batch.owner, batch.order, batch.reading, 1, Closing(1, "cancelled", numbers))
    end = await Results(store, files, ledger, closed).write(2)
    found = []
    for wanted in (end.output_file_id, end.error_file_id):
        lines: list[str] = []
        if wanted is not None:
            record = await files.find("me", wanted)
            whole = b"".join([part async for part in await files.stream("me", record)])
            assert record.bytes == len(whole)
            lines = [json.loads(text)["custom_id"] for text in whole.splitlines()]
        found.append(lines)
    assert (len(found[0]), len(found[1])) == (end.num_completed, end.num_failed)
    assert Counter(found[0] + found[1]).most_common(1)[0][1] == 1
    return found[0], found[1]
