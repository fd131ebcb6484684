"""router.reliability.resuming: which streams can go on, and what the engine that goes on is asked."""

import orjson
import pytest
from wire import CHAT_STREAM, COMPLETION, event, token

from router.call import ROUTES, Call, parse_call
from router.fitting.profiles import PROFILES
from router.reliability.resuming import Said, may_resume, read_said, rest_of

VLLM, LLAMA_CPP = PROFILES["vllm"], PROFILES["llama_cpp"]
SAID = Said({"id": "c1"}, "Hello", 2, has_role=True, finish_reason=None)


def chat(**fields: object) -> Call:
    return parse_call(ROUTES["/v1/chat/completions"], orjson.dumps({**CHAT_STREAM, **fields}))


def completion(**fields: object) -> Call:
    return parse_call(ROUTES["/v1/completions"], orjson.dumps({**COMPLETION, "stream": True, **fields}))


@pytest.mark.parametrize(
    "call",
    [
        chat(),
        chat(n=1, logprobs=False, seed=None, tools=[{}], tool_choice="auto", response_format={"type": "text"}),
        chat(temperature=0, seed=1),
        completion(echo=False, suffix="", best_of=1, logprobs=None),
    ],
    ids=["plain", "defaults said aloud", "greedy with a seed", "a text"],
)
def test_a_text_can_go_on(call: Call) -> None:
    """Values that say what every engine does unasked do not matter."""
    assert may_resume(call)


@pytest.mark.parametrize(
    "call",
    [
        chat(stream=False),
        chat(top_logprobs=0),
        chat(tool_choice={"type": "function", "function": {"name": "f"}}),
        chat(grammar="root ::= 'a'"),
        chat(include_reasoning=False),
        chat(truncate_prompt_tokens=100),
        completion(logprobs=0),
        completion(echo=True),
        completion(suffix="}"),
        completion(prompt=["a"]),
        completion(prompt=[1, 2]),
    ],
)
def test_what_is_more_than_a_text_cannot(call: Call) -> None:
    """`logprobs: 0` of a text asks for something; tokens cannot be appended to."""
    assert not may_resume(call)


def test_a_stream_is_read() -> None:
    """Comments, the usage and the end mark are no part of what was said."""
    role = event({"id": "c1", "created": 1, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    usage = event({"id": "c1", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    stream = b": keep-alive\n\n" + role + token("Hel") + token("lo") + usage + b"data: [DONE]\n\n"
    assert Said({"id": "c1", "created": 1}, "Hello", 2, has_role=True, finish_reason=None) == read_said(stream)


@pytest.mark.parametrize("mark", ["<think>", "</think>"])
def test_thoughts_within_a_chats_text_cannot_go_on(mark: str) -> None:
    """Templates take them out of what a model has said before; a text completion has no template."""
    text = event({"id": "c1", "choices": [{"index": 0, "text": f"Well{mark}"}]})
    assert (None, f"Well{mark}") == (read_said(token("Well") + token(mark)), getattr(read_said(text), "text", None))


@pytest.mark.parametrize("stream", [b"data: {\n\n", b'data: {"choices":[1]}\n\n', b"data: []\n\n"])
def test_what_cannot_be_read_was_nothing(stream: bytes) -> None:
    """Nobody can go on with it."""
    assert read_said(stream) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"max_tokens": 10}, {"max_tokens": 7}),
        ({"max_completion_tokens": 10, "min_tokens": 5}, {"max_completion_tokens": 7, "min_tokens": 2}),
        ({"n_predict": 10, "min_tokens": 1}, {"n_predict": 7, "min_tokens": 0}),
    ],
)
def test_limits_are_less_by_what_was_said(fields: dict[str, object], expected: dict[str, object]) -> None:
    """All that the request has."""
    rest = rest_of(chat(**fields), SAID, 3, LLAMA_CPP)
    assert rest is not None
    assert (expected, False) == ({name: rest.call.body[name] for name in fields}, rest.is_spent)


@pytest.mark.parametrize(("num_tokens", "expected"), [(16, (True, "length", 1)), (15, (False, None, 1))])
def test_a_text_without_a_limit_has_the_engines_own(num_tokens: int, expected: tuple[object, ...]) -> None:
    """vLLM's, of 16 tokens."""
    rest = rest_of(completion(), SAID, num_tokens, VLLM)
    assert rest is not None
    assert expected == (rest.is_spent, rest.finish_reason, rest.call.body["max_tokens"])


def test_an_answer_that_was_over_is_only_counted() -> None:
    """One token, which nobody hears, for the count of the prompt."""
    said = Said({}, "Hello", 2, has_role=True, finish_reason="stop")
    rest = rest_of(chat(max_completion_tokens=100, min_tokens=50), said, 2, VLLM)
    assert rest is not None
    limits = [rest.call.body[name] for name in ("max_tokens", "max_completion_tokens", "min_tokens")]
    assert (True, "stop", [1, 1, 0]) == (rest.is_spent, rest.finish_reason, limits)


BEGUN = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well: "}]


@pytest.mark.parametrize(
    ("profile", "fields", "expected"),
    [
        (LLAMA_CPP, {}, [*BEGUN[:1], {"role": "assistant", "content": "Well: Hello"}]),
        (VLLM, {}, [*BEGUN, {"role": "assistant", "content": "Hello"}]),
        (
            VLLM,
            {"continue_final_message": True, "add_generation_prompt": False},
            [*BEGUN[:1], {"role": "assistant", "content": "Well: Hello"}],
        ),
        (VLLM, {"add_generation_prompt": False}, None),
    ],
)
def test_a_beginning_of_the_clients_own_is_kept(profile: object, fields: dict[str, object], expected: object) -> None:
    """Where the engine took it for one, the text follows it; else it was a turn of its own."""
    rest = rest_of(chat(messages=BEGUN, **fields), SAID, 2, profile)  # type: ignore[arg-type]
    assert expected == (None if rest is None else rest.call.body["messages"])


def test_an_engine_behind_a_front_is_not_asked() -> None:
    """No way to go on is common to all of them."""
    assert rest_of(chat(), SAID, 2, PROFILES["front"]) is None
