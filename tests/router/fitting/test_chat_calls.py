"""router.fitting.chat_calls: what past calls were given, where it is not what engines read."""

from typing import Any

import orjson
import pytest
from door import Door
from scripted_engine import ScriptedEngine
from wire import WHOLE, whole

from router.call import ROUTES, Call, parse_call
from router.fitting.chat_calls import fit_calls

HI = {"role": "user", "content": "hi"}
ERROR = {"role": "tool", "tool_call_id": "c", "content": "That is no JSON."}


def called(arguments: object, **fields: object) -> dict[str, Any]:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call], **fields}


def chat(*messages: dict[str, Any]) -> Call:
    return parse_call(ROUTES["/v1/chat/completions"], orjson.dumps({"model": "m", "messages": [HI, *messages]}))


def arguments_of(call: Call) -> Any:
    message = orjson.loads(call.raw)["messages"][1]
    return message["tool_calls"][0]["function"]["arguments"]


@pytest.mark.parametrize("arguments", ["{}", '{"a": 1}', ' {"a":[1]}\n'])
def test_an_object(arguments: str) -> None:
    """Stays as the client wrote it, and the whole request does."""
    call = chat(called(arguments), ERROR)
    assert call is fit_calls(call)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (" ", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": "b', {"INVALID_JSON": '{"a": "b'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ([1], {"INVALID_JSON": [1]}),
        (r'{"a": "\ud83d"}', {"a": "\ufffd"}),
    ],
)
def test_what_is_no_object(arguments: object, expected: object) -> None:
    """Becomes one: what the model wrote, under a name that no tool has."""
    assert expected == orjson.loads(arguments_of(fit_calls(chat(called(arguments), ERROR))))


def test_another_kind_of_call() -> None:
    """Is left alone."""
    call = chat({**HI, "role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "p"}}]})
    assert call is fit_calls(call)


@pytest.mark.parametrize("profile", ["llama_cpp", "vllm", "front"])
async def test_every_engine(profile: str, door: Door, engine: ScriptedEngine) -> None:
    """Is asked so, in the API of chats and in that of responses."""
    door.serve_with(engine.replica("r2", profile))
    given = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a"'}
    result = {"type": "function_call_output", "call_id": "c", "output": "That is no JSON."}
    for path, fields in (
        ("/v1/chat/completions", {"messages": [HI, called('{"a"'), ERROR]}),
        ("/v1/responses", {"input": [HI, given, result]}),
    ):
        engine.script(WHOLE)
        assert 200 == (await door.post({"model": "m", **fields}, path)).status
        heard: Any = engine.requests[-1].document["messages"]
        assert '{"INVALID_JSON":"{\\"a\\""}' == heard[1]["tool_calls"][0]["function"]["arguments"]


async def test_its_tokens_are_counted(door: Door, engine: ScriptedEngine) -> None:
    """As the engine reads it."""
    door.serve_with(engine.replica("r2", "vllm"))
    engine.script(whole({"count": 2, "max_model_len": 8, "tokens": [1, 2]}))
    assert 200 == (await door.post({"model": "m", "messages": [HI, called('{"a"'), ERROR]}, "/tokenize")).status
    heard: Any = engine.requests[-1].document["messages"]
    assert '{"INVALID_JSON":"{\\"a\\""}' == heard[1]["tool_calls"][0]["function"]["arguments"]
