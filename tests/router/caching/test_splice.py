"""A stream that goes on where another broke off."""

import asyncio
import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_sink import RecordingSink

from router.caching.flight import Flight, SharedAccount
from router.caching.splice import Splice
from router.caching.transcripts import whole_from_stream
from router.http.event_stream import DONE

Json = dict[str, Any]
MAX_BYTES = 1_000_000


def event(id_: str, *parts: Json, **more: object) -> bytes:
    document = {
        "id": id_,
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": list(parts),
        **more,
    }
    return b"data: " + orjson.dumps(document) + b"\n\n"


def delta(index: int = 0, finish: str | None = None, **said: object) -> Json:
    return {"index": index, "delta": said, "finish_reason": finish}


def resumed(first: list[bytes], second: list[bytes]) -> tuple[bytes, Splice]:
    """What clients have had in the end, when `second` comes after the `first` of another engine."""
    loop = asyncio.new_event_loop()
    try:
        flight = Flight(loop, SharedAccount(RecordingSink(), 0, loop.time, "/"), MAX_BYTES)
    finally:
        loop.close()
    for had in first:
        flight.write(had, is_last=False)
    splice = Splice(flight, b"".join(first))
    for number, part in enumerate(second):
        splice.write(part, is_last=number == len(second) - 1)
    said = flight.said
    assert said is not None
    return said, splice


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[start:end] for start, end in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0, 1000), max_size=6)


def chat(id_: str, text: str, arguments: str, cuts: list[int]) -> list[bytes]:
    """The whole stream of an answer that thinks, speaks and calls a tool."""
    events = [event(id_, delta(role="assistant", content=""))]
    events += [event(id_, delta(reasoning_content=piece)) for piece in pieces(text[::-1], cuts)]
    events += [event(id_, delta(content=piece)) for piece in pieces(text, cuts)]
    for number, piece in enumerate(pieces(arguments, cuts)):
        function = {"arguments": piece} if number else {"name": "look", "arguments": piece}
        call = {"index": 0, "function": function, **({} if number else {"id": f"call-{id_}", "type": "function"})}
        events.append(event(id_, delta(tool_calls=[call])))
    events.append(event(id_, delta(finish="stop")))
    usage = {"prompt_tokens": 1, "completion_tokens": len(text)}
    return [*events, event(id_, usage=usage), DONE]


@given(st.text(max_size=40), st.text(max_size=20), CUTS, CUTS, st.data())
def test_wherever_it_broke_off_the_whole_is_the_same(
    text: str, arguments: str, first_cuts: list[int], second_cuts: list[int], data: st.DataObject
) -> None:
    """However either engine cut it into tokens; under the first one's id throughout."""
    first = chat("a", text, arguments, first_cuts)
    had = first[: data.draw(st.integers(1, len(first) - 1))]
    said, splice = resumed(had, chat("b", text, arguments, second_cuts))
    expected = whole_from_stream(b"".join(chat("a", text, arguments, [])), is_chat=True)
    got = whole_from_stream(said, is_chat=True)
    calls = got["choices"][0]["message"].get("tool_calls", [])
    for call in calls:
        call["id"] = "call-a"  # of the engine that began the call
    assert (None, expected) == (splice.diverged, got)
    assert (True, False) == (said.startswith(b"".join(had)), b'"id":"b"' in said)


@given(st.text(min_size=1, max_size=20), CUTS)
def test_two_choices_go_on_each_where_it_was(text: str, cuts: list[int]) -> None:
    """Of a text completion, whose choices come in turns."""

    def stream(id_: str, cuts: list[int]) -> list[bytes]:
        said = [event(id_, {"index": i, "text": piece}) for piece in pieces(text, cuts) for i in (0, 1)]
        ends = [event(id_, {"index": i, "text": "", "finish_reason": "length"}) for i in (1, 0)]
        return [*said, *ends, DONE]

    first = stream("a", cuts)
    said, splice = resumed(first[: len(first) // 2], stream("b", []))
    whole = whole_from_stream(said, is_chat=False)
    assert (None, [text, text]) == (splice.diverged, [choice["text"] for choice in whole["choices"]])


@pytest.mark.parametrize(
    "second",
    [
        [event("b", delta(content="Hal"))],
        [event("b", delta(content="He")), event("b", delta(finish="stop"))],
        [event("b", delta(content="He")), DONE],
        [b"data: nonsense\n\n"],
    ],
    ids=["other words", "fewer words", "no ending", "no JSON"],
)
def test_another_answer_is_refused(second: list[bytes]) -> None:
    """Nothing of it reaches the clients."""
    first = [event("a", delta(content="Hel"))]
    said, splice = resumed(first, second)
    assert (b"".join(first), True) == (said, splice.diverged is not None)
