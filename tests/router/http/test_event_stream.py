"""router.http.event_stream: whole events only, and how the stream ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import TOKENS, USAGE_EVENT, event, token

from router.http.event_stream import DONE, EventStream, Usage, read_usage

ERROR_EVENT = event({"error": {"message": "out of blocks", "type": "server_error", "code": 500}})
COMMENT = b": ping\n\n"


def with_crlf(events: bytes) -> bytes:
    """The same events, with their lines ended as the standard allows, too."""
    return events.replace(b"\n", b"\r\n")


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in pieces that begin at each of `cuts`."""
    ends = sorted({cut % len(data) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def fed(stream: EventStream, pieces: list[bytes]) -> bytes:
    return b"".join([stream.feed(piece) for piece in pieces])


EVENTS = st.lists(
    st.sampled_from([token("Hel"), token("[DONE]"), token('"prompt_tokens"'), COMMENT, USAGE_EVENT, ERROR_EVENT, DONE]),
    min_size=1,
    max_size=8,
).map(b"".join)
CUTS = st.lists(st.integers(0, 5000), max_size=12)


@given(data=EVENTS | EVENTS.map(with_crlf), cuts=CUTS, wants_usage=st.booleans())
def test_the_output_does_not_depend_on_how_the_input_was_split(
    *, data: bytes, cuts: list[int], wants_usage: bool
) -> None:
    """A socket may cut a stream anywhere; the client gets the same bytes, and the same end is seen."""
    at_once, in_pieces = EventStream(wants_usage=wants_usage), EventStream(wants_usage=wants_usage)
    assert at_once.feed(data) == fed(in_pieces, split_at(data, cuts))
    assert at_once.usage == in_pieces.usage
    assert at_once.is_done == in_pieces.is_done
    assert at_once.error == in_pieces.error


@given(EVENTS | EVENTS.map(with_crlf), st.integers(0, 5000))
def test_only_whole_events_pass(data: bytes, cut: int) -> None:
    """Whatever arrived so far, what was let through ends with an event's end."""
    passed = EventStream(wants_usage=True).feed(data[: cut % len(data)])
    assert not passed or passed.endswith((b"\n\n", b"\r\n\r\n"))


@given(st.lists(st.sampled_from([token("a"), COMMENT, token("[DONE]")])).map(b"".join), CUTS)
def test_tokens_pass_as_the_bytes_they_came_in(data: bytes, cuts: list[int]) -> None:
    """Nothing is rewritten that need not be."""
    stream = EventStream(wants_usage=False)
    assert data + DONE == fed(stream, split_at(data + DONE, cuts))
    assert stream.is_done


def test_crlf_survives_a_read_that_has_to_be_inspected() -> None:
    """The line ends of the engine are kept although the usage beside them is taken out."""
    stream = EventStream(wants_usage=False)
    assert with_crlf(TOKENS + DONE) == stream.feed(with_crlf(TOKENS + USAGE_EVENT + DONE))


def test_usage_that_was_not_asked_for_is_kept_back() -> None:
    """The event that has nothing but the usage is counted and not let through."""
    stream = EventStream(wants_usage=False)
    assert TOKENS + DONE == stream.feed(TOKENS + USAGE_EVENT + DONE)
    assert Usage(3, 2) == stream.usage


def test_usage_that_was_asked_for_passes() -> None:
    """A client that asked for the usage gets its event."""
    stream = EventStream(wants_usage=True)
    assert TOKENS + USAGE_EVENT + DONE == stream.feed(TOKENS + USAGE_EVENT + DONE)
    assert Usage(3, 2) == stream.usage


LAST_TOKEN = {"id": "c1", "choices": [{"index": 0, "finish_reason": "stop"}]}
USAGE_OF_IT = {"prompt_tokens": 1, "completion_tokens": 1}


def test_usage_beside_a_choice_is_taken_out() -> None:
    """The choice is an answer and passes; the usage was not asked for, but is known."""
    stream = EventStream(wants_usage=False)
    assert event(LAST_TOKEN) + DONE == stream.feed(event({**LAST_TOKEN, "usage": USAGE_OF_IT}) + DONE)
    assert Usage(1, 1) == stream.usage


def test_usage_beside_a_choice_comes_by_itself() -> None:
    """Where it was asked for, clients look for it in an event without a choice, and Continue nowhere else."""
    both = event({**LAST_TOKEN, "usage": USAGE_OF_IT})
    by_itself = event({**LAST_TOKEN, "usage": USAGE_OF_IT, "choices": []})
    assert event(LAST_TOKEN) + by_itself + DONE == EventStream(wants_usage=True).feed(both + DONE)


def test_usage_of_every_token_is_not_repeated() -> None:
    """An engine that counts along ends with an event for the usage, and that one is enough."""
    both, alone = event({**LAST_TOKEN, "usage": USAGE_OF_IT}), event(LAST_TOKEN)
    assert alone + alone + USAGE_EVENT + DONE == EventStream(wants_usage=True).feed(both + both + USAGE_EVENT + DONE)


@pytest.mark.parametrize("later", [token("late"), DONE, ERROR_EVENT])
def test_nothing_passes_after_an_error(later: bytes) -> None:
    """An error event is kept for translation and ends the stream, in whatever read the rest comes."""
    stream = EventStream(wants_usage=False)
    assert TOKENS == fed(stream, [TOKENS + ERROR_EVENT, later])
    assert {"message": "out of blocks", "type": "server_error", "code": 500} == stream.error


def test_nothing_passes_after_done() -> None:
    """What an engine sends behind its own end is no part of the answer."""
    assert TOKENS + DONE == fed(EventStream(wants_usage=False), [TOKENS + DONE, token("late")])


def test_half_an_event_is_held_back() -> None:
    """The second half completes it."""
    stream = EventStream(wants_usage=False)
    assert b"" == stream.feed(TOKENS[:20])
    assert TOKENS == stream.feed(TOKENS[20:])


def test_data_that_is_not_json_passes() -> None:
    """It is not the router's to judge."""
    assert b"data: [DONE\n\n" == EventStream(wants_usage=False).feed(b"data: [DONE\n\n")
    assert b'data: {"prompt_tokens"\n\n' == EventStream(wants_usage=False).feed(b'data: {"prompt_tokens"\n\n')


@pytest.mark.parametrize(
    ("document", "usage"),
    [
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 2}}, Usage(3, 2)),
        ({"usage": {"prompt_tokens": 3}}, Usage(3, 0)),
        ({"usage": {"prompt_tokens": "3", "completion_tokens": None}}, Usage(0, 0)),
        ({"usage": None}, None),
        ({}, None),
        ([], None),
    ],
)
def test_read_usage(document: object, usage: Usage | None) -> None:
    """A count that is missing or no number is 0; no usage is None."""
    assert usage == read_usage(document)
