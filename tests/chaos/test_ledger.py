"""The ledger itself: what it does not let pass."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest
from clients import read_stream
from ledger import Ending, Entry, Form

DONE = "[DONE]"
OWED = "one two "


def text(said: str, finish: str | None = None) -> str:
    return json.dumps({"choices": [{"delta": {"content": said}, "finish_reason": finish}]})


def usage(num_tokens: int) -> str:
    return json.dumps({"choices": [], "usage": {"completion_tokens": num_tokens}})


END = (text("", "length"), usage(2), DONE)


@pytest.mark.parametrize(
    ("events", "ending"),
    [
        ((text("one "), text("two "), *END), Ending.COMPLETE),
        ((text("one "), text("two "), text("", "length"), usage(2)), Ending.SILENT),
        ((text("one "), *END), Ending.SILENT),
        ((text("one "), text("two "), text("", "stop"), usage(2), DONE), Ending.SILENT),
        ((text("one "), text("two "), text("", "length"), usage(1), DONE), Ending.SILENT),
        ((text("two "), text("one "), *END), Ending.WRONG),
        ((text("one "), text("one "), text("two "), *END), Ending.WRONG),
        ((text("one "), text("two "), *END, text("one ")), Ending.WRONG),
        ((text("one "), text("two "), *END, DONE), Ending.WRONG),
        ((text("one "), json.dumps({"error": {"message": "lost"}})), Ending.ERROR_EVENT),
        ((text("two "), json.dumps({"error": {"message": "lost"}})), Ending.WRONG),
    ],
)
async def test_a_stream_with_a_known_text(events: Sequence[str], ending: Ending) -> None:
    """It is complete when every character of it came once, in order, and the end, and nothing after that."""
    assert ending is await ending_of(Entry(0, Form.SAMPLED, OWED, 2, 0.0), events)


@pytest.mark.parametrize(
    ("num_texts", "ending"), [(24, Ending.COMPLETE), (18, Ending.COMPLETE), (17, Ending.SILENT), (25, Ending.WRONG)]
)
async def test_a_stream_of_which_only_the_tokens_are_known(num_texts: int, ending: Ending) -> None:
    """The usage may say what it likes: of a resumed stream the router has added it up."""
    events = (*[text("so ")] * num_texts, text("", "length"), usage(24), DONE)
    assert ending is await ending_of(Entry(0, Form.SAMPLED, None, 24, 0.0), events)


async def ending_of(entry: Entry, events: Sequence[str]) -> Ending | None:
    async def lines() -> AsyncIterator[bytes]:
        for event in events:
            yield f"data: {event}\n".encode()
            yield b"\n"

    await read_stream(entry, lines())
    return entry.ending
