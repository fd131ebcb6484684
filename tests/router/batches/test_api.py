"""Files and batches as the official client sees them, on a folder."""

from collections import Counter
from dataclasses import replace
from typing import Any

import openai
import orjson
import pytest
from batching import OpenHouse, begin, ended, entries, jsonl, line, sdk
from door import Door
from echo_engine import EchoEngine
from openai.types import Batch
from polling import eventually

from configs.router import RouterUserConfig
from router.http.auth import KeyRing
from router.metrics import BATCH_LINES, BATCHES
from router.models.table import ModelTable


def counts(batch: Batch) -> tuple[int, int, int]:
    """Total, completed, failed."""
    found = batch.request_counts
    assert found is not None
    return found.total, found.completed, found.failed


async def test_a_batch_is_answered_line_by_line_in_the_order_of_its_file(
    client: openai.AsyncOpenAI, echo: EchoEngine
) -> None:
    """Every line once, with its custom id, status and body; the counts say so."""
    lines = [line(f"id-{number}", f"prompt {number}") for number in range(50)]
    batch = await ended(client, await begin(client, jsonl(lines), metadata={"for": "a test"}))
    output = await entries(client, batch.output_file_id)
    assert ("completed", (50, 50, 0), None) == (batch.status, counts(batch), batch.error_file_id)
    assert {"for": "a test"} == batch.metadata
    assert [f"id-{number}" for number in range(50)] == [one["custom_id"] for one in output]
    said = [one["response"]["body"]["choices"][0]["message"]["content"] for one in output]
    assert [f"re: prompt {number}" for number in range(50)] == said
    assert {(200, None)} == {(one["response"]["status_code"], one["error"]) for one in output}
    assert {1} == set(echo.asked.values())


async def test_the_moments_of_a_batch_are_told(client: openai.AsyncOpenAI) -> None:
    """Its window, and when it came into each state."""
    batch = await ended(client, await begin(client, jsonl([line("a", "x")]), window="2h"))
    assert 7200 == (batch.expires_at or 0) - batch.created_at
    moments = [batch.created_at, batch.in_progress_at or 0, batch.finalizing_at or 0, batch.completed_at or 0]
    assert sorted(moments) == moments
    assert (None, None, None) == (batch.failed_at, batch.expired_at, batch.cancelled_at)


async def test_embeddings(client: openai.AsyncOpenAI, house: Door) -> None:
    """Another endpoint, and the body that belongs to it."""
    house.replicas[0].task = "embed"
    asked = {"custom_id": "e", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "words"}}
    batch = await ended(client, await begin(client, jsonl([asked]), "/v1/embeddings"))
    (only,) = await entries(client, batch.output_file_id)
    assert [0.5, 0.25] == only["response"]["body"]["data"][0]["embedding"]


async def test_a_line_that_fails_goes_into_the_error_file(client: openai.AsyncOpenAI) -> None:
    """With the router's own answer to it: a line that wants a stream, and one whose field is out of range."""
    lines = [line("good", "x"), line("stream", "y", stream=True), line("range", "z", temperature=7)]
    batch = await ended(client, await begin(client, jsonl(lines)))
    errors = await entries(client, batch.error_file_id)
    assert ("completed", (3, 1, 2)) == (batch.status, counts(batch))
    assert [("stream", 400, "stream"), ("range", 400, "temperature")] == [
        (one["custom_id"], one["response"]["status_code"], one["response"]["body"]["error"]["param"]) for one in errors
    ]


async def test_overload_is_waited_out_and_a_failing_engine_is_given_three_tries(
    client: openai.AsyncOpenAI, echo: EchoEngine, house: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 is asked again until it ends; 500 becomes the line's answer at the third time."""
    monkeypatch.setattr("router.batches.work._MAX_PAUSE_S", 0.01)
    echo.statuses = {"busy": [503] * 5, "broken": [500] * 9}
    batch = await ended(client, await begin(client, jsonl([line("1", "busy"), line("2", "broken")])))
    assert (2, 1, 1) == counts(batch)
    assert {"busy": 6, "broken": 3} == echo.asked
    assert {"completed": 1, "failed": 1, "retried": 7} == {
        outcome: house.sink.total(BATCH_LINES, outcome=outcome) for outcome in ("completed", "failed", "retried")
    }
    assert (1, 1) == (house.sink.total(BATCHES, state="validating"), house.sink.total(BATCHES, state="completed"))


async def test_a_cancelled_batch_keeps_what_was_answered(client: openai.AsyncOpenAI, echo: EchoEngine) -> None:
    """Lines that were answered are in the output, the others in the error file; running ones are aborted."""
    echo.open.clear()
    batch = await begin(client, jsonl([line(str(number), f"p{number}") for number in range(40)]))
    while not echo.asked:
        batch = await client.batches.retrieve(batch.id)
    cancelling = await client.batches.cancel(batch.id)
    batch = await ended(client, cancelling)
    errors = await entries(client, batch.error_file_id)
    assert ("cancelling", "cancelled", (40, 0, 40)) == (cancelling.status, batch.status, counts(batch))
    assert [str(number) for number in range(40)] == [one["custom_id"] for one in errors]
    assert {"batch_cancelled"} == {one["error"]["code"] for one in errors}
    with pytest.raises(openai.BadRequestError, match="A batch that is cancelled cannot be cancelled"):
        await client.batches.cancel(batch.id)


async def test_a_batch_expires_with_its_window(client: openai.AsyncOpenAI, echo: EchoEngine) -> None:
    """What was answered by then is kept; the rest is in the error file as expired."""
    lines = [line("quick", "quick"), *[line(str(number), f"p{number}") for number in range(20)]]
    echo.statuses = {f"p{number}": [503] * 100 for number in range(20)}
    batch = await ended(client, await begin(client, jsonl(lines), window="2s"))
    assert ("expired", (21, 1, 20)) == (batch.status, counts(batch))
    assert ["quick"] == [one["custom_id"] for one in await entries(client, batch.output_file_id)]
    assert {"batch_expired": 20} == Counter(one["error"]["code"] for one in await entries(client, batch.error_file_id))


BAD_FILES: dict[str, tuple[bytes, list[tuple[str, int | None, str | None]]]] = {
    "empty": (b"\n", [("empty_file", None, "input_file_id")]),
    "not JSON": (b"{\n[1]\n", [("invalid_json_line", 1, None), ("invalid_json_line", 2, None)]),
    "twice": (jsonl([line("a", "x"), line("b", "x"), line("a", "x")]), [("duplicate_custom_id", 3, "custom_id")]),
    "unknown model": (jsonl([line("a", "x", model="none")]), [("model_not_found", 1, "body.model")]),
    "wrong url": (jsonl([{**line("a", "x"), "url": "/v1/embeddings"}]), [("mismatched_url", 1, "url")]),
    "wrong method": (jsonl([{**line("a", "x"), "method": "GET"}]), [("invalid_method", 1, "method")]),
    "no body": (jsonl([{**line("a", "x"), "body": 3}]), [("missing_required_parameter", 1, "body")]),
    "no custom id": (jsonl([{**line("", "x")}]), [("missing_required_parameter", 1, "custom_id")]),
    "too many": (jsonl([line(str(number), "x") for number in range(61)]), [("too_many_lines", None, None)]),
}


@pytest.mark.parametrize(("content", "faults"), BAD_FILES.values(), ids=BAD_FILES)
async def test_a_bad_file_fails_its_batch(
    open_house: OpenHouse, echo: EchoEngine, content: bytes, faults: list[tuple[str, int | None, str | None]]
) -> None:
    """Each fault has its line and field, and nothing was asked."""
    async with sdk(await open_house(max_lines=60)) as client:
        batch = await ended(client, await begin(client, content))
    found = batch.errors.data if batch.errors else None
    assert "failed" == batch.status
    assert faults == [(one.code, one.line, one.param) for one in found or []]
    assert not echo.asked


BAD_WISHES: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"input_file_id": "file-0"}, "input_file_id"),
    "endpoint": ({"endpoint": "/v1/models"}, "endpoint"),
    "window": ({"completion_window": "soon"}, "completion_window"),
    "metadata": ({"metadata": {"a": 1}}, "metadata.a"),
    "lifetime": ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
    "unknown": ({"priority": 1}, "priority"),
}


@pytest.mark.parametrize(("change", "param"), BAD_WISHES.values(), ids=BAD_WISHES)
async def test_a_bad_wish_names_its_field(client: openai.AsyncOpenAI, change: dict[str, Any], param: str) -> None:
    """400, and never 422."""
    file = await client.files.create(file=("in.jsonl", b"{}"), purpose="batch")
    wish = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h", **change}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post("/batches", cast_to=object, body=wish)
    assert (400, param) == (caught.value.status_code, caught.value.param)


async def test_a_file_is_listed_read_and_deleted(client: openai.AsyncOpenAI) -> None:
    """As it was uploaded; then it is not there."""
    content = b"x" * 3_000_000
    file = await client.files.create(file=("a b.jsonl", content), purpose="batch")
    assert ("a b.jsonl", 3_000_000, "batch", "processed") == (file.filename, file.bytes, file.purpose, file.status)
    assert [file.id] == [one.id async for one in client.files.list()]
    assert content == (await client.files.content(file.id)).content
    assert (await client.files.delete(file.id)).deleted
    with pytest.raises(openai.NotFoundError) as caught:
        await client.files.retrieve(file.id)
    assert "object_not_found" == caught.value.code
    assert [] == [one.id async for one in client.files.list()]


async def test_lists_come_in_pages(client: openai.AsyncOpenAI) -> None:
    """Files and batches, the youngest first; `after` goes on where a page ended."""
    batches = [(await begin(client, b"{}\n")).id for _ in range(5)]
    page = await client.batches.list(limit=2)
    assert (batches[:2:-1], True) == ([one.id for one in page.data], page.has_more)
    assert batches[::-1] == [one.id async for one in client.batches.list(limit=2)]
    files = [one.id async for one in client.files.list(limit=2, order="asc")]
    assert sorted(files) == files
    assert 5 == len(files)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.batches.list(limit=101)
    assert "limit" == caught.value.param


async def test_a_file_may_expire(client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the seconds that its owner said, it is not there."""
    lifetime: Any = {"anchor": "created_at", "seconds": 3600}
    file = await client.files.create(file=("a", b"x"), purpose="batch", expires_after=lifetime)
    assert 3600 == (file.expires_at or 0) - file.created_at
    monkeypatch.setattr("router.batches.files.time.time", lambda: file.created_at + 3601)
    with pytest.raises(openai.NotFoundError):
        await client.files.content(file.id)


@pytest.mark.parametrize(
    ("wish", "param"), [({"purpose": "vision"}, "purpose"), ({"purpose": "batch", "extra_body": {"shoe": "9"}}, "shoe")]
)
async def test_a_bad_upload_names_its_field(client: openai.AsyncOpenAI, wish: dict[str, Any], param: str) -> None:
    """And leaves no file."""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.files.create(file=("a", b"x"), **wish)
    assert param == caught.value.param
    assert [] == [one.id async for one in client.files.list()]


async def test_a_file_that_is_too_large_is_refused(open_house: OpenHouse) -> None:
    """413, and no file."""
    async with sdk(await open_house(max_file_bytes=2048)) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.files.create(file=("a", b"x" * 2049), purpose="batch")
        assert (413, "file") == (
            caught.value.status_code,
            orjson.loads(caught.value.response.content)["error"]["param"],
        )
        assert [] == [one.id async for one in client.files.list()]


async def test_files_and_batches_are_their_keys_own(open_house: OpenHouse) -> None:
    """Another key sees neither: 404, as if there were none."""
    door = await open_house(keys=("mine", "yours"))
    async with sdk(door, "mine") as mine, sdk(door, "yours") as yours:
        batch = await ended(mine, await begin(mine, jsonl([line("a", "x")])))
        for ask in (yours.files.retrieve, yours.files.content, yours.files.delete):
            with pytest.raises(openai.NotFoundError):
                await ask(batch.input_file_id)
        for look in (yours.batches.retrieve, yours.batches.cancel):
            with pytest.raises(openai.NotFoundError):
                await look(batch.id)
        assert [] == [one.id async for one in yours.batches.list()]
        assert ("completed", [batch.id]) == (batch.status, [one.id async for one in mine.batches.list()])


async def test_a_deleted_input_fails_the_batch(client: openai.AsyncOpenAI, echo: EchoEngine) -> None:
    """What was answered is kept."""
    echo.open.clear()
    batch = await begin(client, jsonl([line(str(number), f"p{number}") for number in range(90)]))
    while not echo.asked:
        batch = await client.batches.retrieve(batch.id)
    await client.files.delete(batch.input_file_id)
    echo.open.set()
    batch = await ended(client, batch)
    assert ("failed", "input_file_gone") == (batch.status, (batch.errors.data or [])[0].code if batch.errors else None)
    assert counts(batch)[1] == len(await entries(client, batch.output_file_id)) > 0


async def test_without_a_store_the_routes_say_what_to_set(door: Door) -> None:
    """Not a 404: they exist, and are off."""
    async with sdk(door) as client:
        with pytest.raises(openai.APIStatusError, match=r"batches\.store") as caught:
            await client.batches.list()
    assert (501, "batches_not_configured") == (caught.value.status_code, caught.value.code)


async def test_the_lines_of_a_key_that_is_taken_away_fail(open_house: OpenHouse, echo: EchoEngine) -> None:
    """Who may no longer ask gets no more answers: 401, in the error file of whoever still has the house."""
    echo.open.clear()
    door = await open_house(keys=("mine",))
    async with sdk(door, "mine") as client:
        batch = await begin(client, jsonl([line(str(number), f"p{number}") for number in range(9)]))
        await eventually(lambda: echo.num_running == 6)
        keys, door.state.keys = door.state.keys, KeyRing(["yours"])
        echo.open.set()
        assert door.state.batches is not None
        ledger = door.state.batches.ledger
        await eventually(lambda: not door.state.batches or not door.state.batches._works)
        assert (6, 3) == await ledger.counts(await ledger.find(keys.check(bearer("mine")), batch.id))
        door.state.keys = keys
        errors = await entries(client, (await client.batches.retrieve(batch.id)).error_file_id)
    assert {(401, "invalid_api_key")} == {
        (one["response"]["status_code"], one["response"]["body"]["error"]["code"]) for one in errors
    }


def bearer(key: str) -> dict[str, Any]:
    """The scope of a request with that key."""
    return {"headers": [(b"authorization", f"Bearer {key}".encode())]}


async def test_rules_choose_a_model_for_each_line(house: Door, client: openai.AsyncOpenAI, echo: EchoEngine) -> None:
    """A line may ask for a name that is no model; limits on requests at once are not for lines."""
    rows = {
        name: {"application": f"application-of-{name}", "limits": {"max_requests": 1, "max_requests_per_key": 1}}
        for name in ("m", "tooled")
    }
    auto = {"auto": {"rules": [{"when": {"has_tools": True}, "model": "tooled"}, {"model": "m"}]}}
    config = RouterUserConfig.model_validate({"models": rows, "auto": auto})
    house.state.take_over_table(ModelTable(config))
    house.state.take_over_replicas("application-of-tooled", [replace(echo.replica("r2"), model="tooled")])
    echo.open.clear()
    lines = [line(str(n), f"p{n}", model="auto", **({"tools": [{}]} if n % 2 else {})) for n in range(6)]
    batch = await begin(client, jsonl(lines))
    await eventually(lambda: echo.num_running == 6)
    echo.open.set()
    batch = await ended(client, batch)
    output = await entries(client, batch.output_file_id)
    assert (6, 6, 0) == counts(batch)
    assert ["m", "tooled"] * 3 == [one["response"]["body"]["model"] for one in output]
