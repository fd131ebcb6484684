"""router.text_logprobs: llama.cpp gives a text completion's logprobs in a chat's form, which no client reads there."""

from typing import Any

import orjson
import pytest
from door import Door
from scripted_engine import ScriptedEngine
from wire import COMPLETION, DONE, event, stream, whole

from router.http.event_stream import read_events
from router.text_logprobs import TextLogprobsStream, recast

PATH = "/v1/completions"
HEAD = {"id": "chatcmpl-7", "object": "text_completion", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
TEXT_FORM = {
    "tokens": ["é", "b"], "token_logprobs": [-2.0, -1.0], "text_offset": [0, 1],
    "top_logprobs": [{"é": -2.0, "c": -0.5}, {"b": -1.0, "d": -3.0}],
}  # fmt: skip


def token(text: str, logprob: float, **others: float) -> dict[str, Any]:
    likeliest = [{"id": 1, "token": other, "bytes": [], "logprob": value} for other, value in others.items()]
    return {"id": 1, "token": text, "bytes": [*text.encode()], "logprob": logprob, "top_logprobs": likeliest}


TOKENS = [token("é", -2.0, c=-0.5), token("b", -1.0, b=-1.0, d=-3.0)]


def choice(text: str, tokens: list[dict[str, Any]], index: int = 0) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": {"content": tokens}, "finish_reason": None}


async def test_a_whole_answer(door: Door, engine: ScriptedEngine) -> None:
    """Its text and its id are as they are without logprobs."""
    engine.script(whole({**HEAD, "choices": [choice("éb", TOKENS)], "usage": USAGE}))
    answer = await door.post({**COMPLETION, "logprobs": 2}, PATH)
    document = orjson.loads(answer.body)
    [said] = document["choices"]
    assert ("cmpl-7", "éb", TEXT_FORM) == (document["id"], said["text"], said["logprobs"])
    assert USAGE == document["usage"]


async def test_a_stream(door: Door, engine: ScriptedEngine) -> None:
    """Its offsets go on from event to event, and its usage comes in an event of its own."""
    end = {"text": "", "index": 0, "logprobs": None, "finish_reason": "length"}
    engine.script(
        stream(
            event({**HEAD, "choices": [choice("é", TOKENS[:1])]})
            + event({**HEAD, "choices": [choice("b", TOKENS[1:])]}),
            event({**HEAD, "choices": [end], "usage": USAGE}),
            DONE,
        )
    )
    asked = {**COMPLETION, "logprobs": 2, "stream": True, "stream_options": {"include_usage": True}}
    events = [one for one in read_events((await door.post(asked, PATH)).body) if one is not None]
    assert ["cmpl-7"] * 4 == [one["id"] for one in events]
    given = [one["choices"][0]["logprobs"] for one in events[:2]]
    assert TEXT_FORM == {name: given[0][name] + given[1][name] for name in TEXT_FORM}
    assert (None, [], USAGE) == (events[2]["choices"][0]["logprobs"], events[3]["choices"], events[3]["usage"])


@pytest.mark.parametrize(("profile", "asked"), [("llama_cpp", 1), ("vllm", 0)])
async def test_none_but_the_tokens_own(profile: str, asked: int, door: Door, engine: ScriptedEngine) -> None:
    """0 asks for those; llama.cpp would take it for none."""
    door.serve_with(engine.replica("e1", profile))
    engine.script(whole({**HEAD, "choices": [choice("b", TOKENS[1:])]}))
    await door.post({**COMPLETION, "logprobs": 0}, PATH)
    assert asked == engine.requests[0].document["logprobs"]


async def test_another_engines_are_not_read(door: Door, engine: ScriptedEngine) -> None:
    """vLLM's have a text's form."""
    document = {**HEAD, "choices": [{**choice("éb", []), "logprobs": TEXT_FORM}]}
    door.serve_with(engine.replica("e1", "vllm"))
    engine.script(whole(document))
    assert document == orjson.loads((await door.post({**COMPLETION, "logprobs": 2}, PATH)).body)


def test_an_event_that_comes_in_halves() -> None:
    """Waits until it is whole, as it does in any stream."""
    events, written = TextLogprobsStream(wants_usage=False), event({**HEAD, "choices": [choice("b", TOKENS[1:])]})
    assert b"" == events.feed(written[:40])
    assert b'"tokens":["b"]' in events.feed(written[40:])
    assert events.feed(DONE) == DONE
    assert events.is_done


def test_each_choice_has_offsets_of_its_own() -> None:
    """Several prompts make several choices."""
    offsets: dict[str, int] = {}
    for expected in ([0, 0], [1, 1]):
        document = {"choices": [choice("b", TOKENS[1:], index) for index in (0, 1)]}
        choices = recast(document, offsets)["choices"]
        assert expected == [each["logprobs"]["text_offset"][0] for each in choices]


@pytest.mark.parametrize(
    "given", [None, TEXT_FORM, {"content": None}, {"content": [1]}, {"content": [{"token": "a", "prob": 0.5}]}]
)
def test_what_has_another_form(given: object) -> None:
    """Stays as it is: probabilities after sampling, for one, which llama.cpp gives to those who ask for them."""
    document: dict[str, Any] = {"choices": [{"index": 0, "text": "a", "logprobs": given}, 7]}
    assert {"choices": [{"index": 0, "text": "a", "logprobs": given}, 7]} == recast(document, {})
    assert {"choices": None} == recast({"choices": None}, {})


def test_events_that_are_no_json() -> None:
    """Pass, as they do in any stream."""
    broken = b'data: {"logprobs":{\n\n'
    assert broken == TextLogprobsStream(wants_usage=False).feed(broken)
