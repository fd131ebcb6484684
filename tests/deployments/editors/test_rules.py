"""What clients break on is found: each rule refuses the answer that it is for, and lets a good one pass."""

from collections.abc import Sequence

import orjson
import pytest

from deployments.editors.rules import basic, chat, messages, ollama
from deployments.editors.step import Answer, Fault, Rule

EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def chunk(delta: dict[str, object], finish: str | None = None, **fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **fields}


USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
HELLO = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hello"}), chunk({}, "stop")]


def sse(*documents: object, end: str = "data: [DONE]\n\n", between: str = "") -> bytes:
    return "".join(f"data: {orjson.dumps(one).decode()}\n\n{between}" for one in documents).encode() + end.encode()


def answer(body: bytes, *, is_whole: bool = True, is_left: bool = False, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(200, {**EVENT_STREAM, **named}, body, is_whole, is_left)


def fault(rules: Sequence[Rule], given: Answer) -> str:
    """What the first rule that refuses says; empty when none does."""
    try:
        for rule in rules:
            rule(given)
    except Fault as found:
        return str(found)
    return ""


CALL = {"id": "c1", "index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}
GOOD_CHATS = {
    "words": sse(*HELLO, USAGE),
    "a tool's call": sse(chunk({"tool_calls": [CALL]}), chunk({}, "tool_calls"), USAGE),
    "comments": b": keep-alive\n\n" + sse(*HELLO, USAGE, between=": keep-alive\n\n"),
    "thoughts before words": sse(chunk({"reasoning_content": "hm"}), *HELLO, USAGE),
}


@pytest.mark.parametrize("body", GOOD_CHATS.values(), ids=GOOD_CHATS)
def test_a_good_chat_passes(body: bytes) -> None:
    """Every client can read it."""
    assert "" == fault([*chat.STREAM, chat.usage_at_the_end], answer(body))


BAD_CHATS = {
    "`: ping`": (b": ping - now\n\n" + sse(*HELLO, USAGE), "Continue stops"),
    "no space": (sse(*HELLO, USAGE).replace(b"data: ", b"data:"), "no space"),
    "usage in every chunk": (sse(*(one | {"usage": USAGE["usage"]} for one in HELLO), USAGE), "vanishes"),
    "no finish_reason": (sse(*HELLO[:2], USAGE), "no chunk has a finish_reason"),
    "no end": (sse(*HELLO, USAGE, end=""), "does not end with [DONE]"),
    "no line's end": (sse(*HELLO, USAGE, end="data: [DONE]"), "last line has no end"),
    "nothing said": (sse(HELLO[0], HELLO[2], USAGE), "no words"),
    "thoughts alone": (sse(chunk({"reasoning_content": "hm"}), HELLO[2], USAGE), "only thought"),
    "an error's event": (sse(*HELLO[:2], {"error": {"message": "lost"}}, end=""), "ends with an error"),
    "a call without an index": (sse(chunk({"tool_calls": [{"id": "c1"}]}), HELLO[2], USAGE), "no index"),
    "a call without an id": (sse(chunk({"tool_calls": [{"index": 0}]}), HELLO[2], USAGE), "without an id"),
    "usage that is missing": (sse(*HELLO), "usage was asked for"),
    "no JSON": (b"data: {\n\n", "no JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "says"), BAD_CHATS.values(), ids=BAD_CHATS)
def test_a_bad_chat_is_refused(body: bytes, says: str) -> None:
    """With words that say what is wrong."""
    assert says in fault([*chat.STREAM, chat.usage_at_the_end], answer(body))


def test_a_chat_that_was_left_needs_no_end() -> None:
    """The client hung up before it."""
    assert "" == fault([*chat.STREAM, chat.usage_at_the_end], answer(sse(*HELLO[:2], end=""), is_left=True))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (answer(sse(*HELLO), is_whole=False), "connection was lost"),
        (answer(sse(*HELLO), content_encoding="gzip"), "packed (gzip)"),
        (answer(sse(*HELLO), content_type="application/json"), "not text/event-stream"),
        (Answer(503, {}, b"busy"), "status 503: busy"),
    ],
)
def test_an_answer_that_is_no_stream(given: Answer, says: str) -> None:
    """It is refused before its events are looked at."""
    assert says in fault(chat.STREAM, given)


def test_usage_that_nobody_asked_for() -> None:
    """Is a fault, too."""
    assert "nobody asked" in fault([chat.no_usage], answer(sse(*HELLO, USAGE)))
    assert "" == fault([chat.no_usage], answer(sse(*HELLO)))


def block(number: int, kind: str) -> dict[str, object]:
    return {"type": f"content_block_{kind}", "index": number}


START, STOP = {"type": "message_start"}, {"type": "message_stop"}
REASON = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
FIRST_BLOCK = [block(0, "start"), block(0, "delta"), block(0, "stop")]


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([START, {"type": "ping"}, *FIRST_BLOCK, REASON, STOP], ""),
        ([*FIRST_BLOCK, REASON, STOP], "begins with"),
        ([START, REASON, STOP], "no content"),
        ([START, block(0, "start"), block(1, "start"), REASON, STOP], "before block 0 has ended"),
        ([START, block(0, "start"), block(1, "delta")], "while block 0 is open"),
        ([START, block(0, "start"), REASON, STOP], "never ends"),
        ([START, *FIRST_BLOCK, STOP], "stop_reason"),
        ([START, *FIRST_BLOCK, REASON], "message_stop"),
        ([START, *FIRST_BLOCK, {"type": "error"}], "has an error"),
    ],
)
def test_messages_of_anthropic(events: list[object], says: str) -> None:
    """From message_start to message_stop, one block at a time."""
    found = fault(messages.MESSAGE_STREAM, answer(sse(*events, end="")))
    assert (says in found) if says else ("" == found)


def numbered(*kinds: str) -> bytes:
    return sse(*({"type": f"response.{kind}", "sequence_number": i} for i, kind in enumerate(kinds)), end="")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (numbered("created", "output_text.delta", "completed"), ""),
        (numbered("created", "output_text.delta", "incomplete"), ""),
        (numbered("output_text.delta", "completed"), "begins with"),
        (numbered("created", "output_text.delta"), "Codex connects five times more"),
        (numbered("created", "failed"), "failed"),
        (numbered("created", "completed").replace(b":1}", b":5}"), "not numbered"),
    ],
)
def test_responses_of_openai(body: bytes, says: str) -> None:
    """From response.created to response.completed, each event with its number."""
    found = fault(messages.RESPONSE_STREAM, answer(body))
    assert (says in found) if says else ("" == found)


def as_json(document: object, status: int = 200) -> Answer:
    return Answer(status, {}, orjson.dumps(document))


CARD = {"id": "m", "max_model_len": 8, "context_length": 8}
INFO = {"general.architecture": "llama", "llama.context_length": 8}
GONE = {"error": {"code": "previous_response_not_found"}}


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (basic.lists_models, {"data": [CARD]}, {"data": []}),
        (basic.lists_models, {"data": [CARD]}, {"data": [CARD | {"id": "a|b"}]}),
        (basic.lists_models, {"data": [CARD]}, {"data": [CARD | {"max_model_len": None}]}),
        (basic.lists_models, {"data": [CARD]}, {"data": [CARD | {"context_length": None}]}),
        (basic.has(["a", 0, "b"], str), {"a": [{"b": "c"}]}, {"a": []}),
        (basic.has(["a"], dict), {"a": {}}, {"a": "{}"}),
        (chat.whole_chat, {"choices": [{"message": {"role": "assistant"}, "finish_reason": "stop"}]}, {"choices": []}),
        (ollama.new_enough, {"version": "0.6.4"}, {"version": "0.6.3"}),
        (ollama.new_enough, {"version": "0.0.0"}, {}),
        (ollama.lists_tags, {"models": [{"model": "m"}]}, {"models": [{"name": "m"}]}),
        (ollama.shows_abilities, {"capabilities": [], "model_info": INFO}, {"capabilities": [], "model_info": {}}),
    ],
)
def test_whole_answers(rule: Rule, good: object, bad: object) -> None:
    """Fields that clients read without asking whether they are there."""
    assert "" == fault([rule], as_json(good))
    assert "" != fault([rule], as_json(bad))


def test_a_refusal_that_must_be() -> None:
    """Only with this status and this code does the client send the whole conversation again."""
    rule = basic.refused_with(400, "previous_response_not_found")
    assert "" == fault([rule], as_json(GONE, 400))
    assert "status 404" in fault([rule], as_json(GONE, 404))
    assert "code must be" in fault([rule], as_json({"error": {"code": "not_found"}}, 400))
    assert "code must be" in fault([rule], as_json({"error": "gone"}, 400))


def lines(*documents: object) -> Answer:
    return Answer(200, {}, b"".join(orjson.dumps(one) + b"\n" for one in documents))


LAST = {"message": {"content": ""}, "done": True, "eval_count": 1}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lines({"message": {"content": "hi"}}, LAST), ""),
        (lines({"response": "hi"}, LAST), ""),
        (lines({"message": {"content": "hi"}}), "done"),
        (lines({"message": {"content": "hi"}}, {"done": True}), "eval_count"),
        (lines(LAST), "no words"),
        (lines({"message": {"tool_calls": [{"function": {"arguments": "{}"}}]}}, LAST), "no object"),
        (Answer(200, {}, b"data: {}\n"), "no JSON"),
    ],
)
def test_chats_of_ollama(given: Answer, says: str) -> None:
    """One object a line, the last with counts, arguments as objects."""
    found = fault([ollama.ndjson_ends], given)
    assert (says in found) if says else ("" == found)


def test_every_answer_has_its_requests_id() -> None:
    """SDKs show it with each error."""
    assert "x-request-id" in fault([basic.names_its_request], answer(b""))
    assert "" == fault([basic.names_its_request], answer(b"", x_request_id="req-1"))
