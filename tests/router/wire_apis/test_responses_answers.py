"""router.wire_apis.responses.answers: whatever an engine streams, its events are in order and add up."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from router.wire_apis.pieces import Json
from router.wire_apis.responses.answers import ResponseWriter
from router.wire_apis.responses.requests import Asked

WORDS = st.text(max_size=3)


def tool_call(index: int, arguments: str) -> Json:
    return {"tool_calls": [{"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": arguments}}]}


DELTAS = st.one_of(
    st.fixed_dictionaries({"content": st.none() | WORDS}),
    st.fixed_dictionaries({"reasoning_content": WORDS}),
    st.builds(tool_call, st.integers(0, 2), st.sampled_from(["", '{"x":', "1}", "{}"])),
)


def events_of(deltas: list[Json], finish: str | None) -> list[Json]:
    writer = ResponseWriter(Asked("m", {}), "req-1")
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    data = b"".join([*map(writer.feed, chunks), writer.end()])
    return [orjson.loads(block.partition(b"data: ")[2]) for block in data.split(b"\n\n") if block]


@given(st.lists(DELTAS, max_size=10), st.sampled_from([None, "stop", "length", "tool_calls"]))
def test_any_chunks_are_a_response(deltas: list[Json], finish: str | None) -> None:
    """One item after another, each said in full when it is done, and all of them in the last event."""
    events = events_of(deltas, finish)
    assert list(range(len(events))) == [event["sequence_number"] for event in events]
    done: list[Json] = []
    said: list[str] | None = None
    for event in events[2:-1]:
        kind = event["type"].removeprefix("response.")
        assert len(done) == event["output_index"]
        assert (kind == "output_item.added") == (said is None)
        if kind == "output_item.added":
            said = []
        elif kind.endswith(".delta"):
            said = [*(said or ()), event["delta"]]
        elif kind == "output_item.done":
            item = event["item"]
            text = item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"]
            assert text == ("".join(said or ()) or ("{}" if item["type"] == "function_call" else ""))
            done.append(item)
            said = None
    assert said is None
    last = "incomplete" if finish == "length" else "completed"
    assert (f"response.{last}", done) == (events[-1]["type"], events[-1]["response"]["output"])
