"""router.fitting.known_roles: what roles say that no chat template has."""

from typing import Any

from door import Door
from scripted_engine import ScriptedEngine
from wire import WHOLE, whole

from router.fitting.known_roles import with_known_roles

USER = {"role": "user", "content": "hi"}
CALLS = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "seen"}
WIZARD = {"role": "wizard", "content": "Beware.", "name": "m"}


def test_known_roles() -> None:
    """Nothing is changed, and nothing is copied."""
    messages = [{"role": role, "content": "hi"} for role in ("system", "developer", "user", "assistant", "tool")]
    assert messages is with_known_roles(messages)


def test_a_role_of_tomorrow() -> None:
    """Speaks in the user's name, with a mark."""
    assert [USER, {"role": "user", "content": "<wizard>\nBeware.\n</wizard>"}] == with_known_roles([USER, WIZARD])


def test_parts_of_a_role_of_tomorrow() -> None:
    """Stay parts."""
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    (said,) = with_known_roles([{"role": "wizard", "content": [image]}])
    assert ["text", "image_url", "text"] == [part["type"] for part in said["content"]]


def test_a_call_and_its_result() -> None:
    """Stay together."""
    assert ["user", "assistant", "tool", "user"] == [
        message["role"] for message in with_known_roles([USER, CALLS, WIZARD, RESULT])
    ]


async def test_every_api_takes_one(door: Door, engine: ScriptedEngine) -> None:
    """And engines never hear of it."""
    asked: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": [USER, WIZARD]},
        "/v1/messages": {"messages": [USER, WIZARD], "max_tokens": 8},
        "/v1/responses": {"input": [USER, {**WIZARD, "type": "message"}]},
        "/api/chat": {"messages": [USER, WIZARD], "stream": False},
    }
    for path, fields in asked.items():
        engine.script(WHOLE)
        answer = await door.post({"model": "m", **fields}, path)
        assert 200 == answer.status, (path, answer.body)
        heard: Any = engine.requests[-1].document["messages"]
        assert {"user"} == {message["role"] for message in heard}
        assert "<wizard>\nBeware.\n</wizard>" in heard[-1]["content"]


async def test_its_tokens_are_counted(door: Door, engine: ScriptedEngine) -> None:
    """As what the engine reads."""
    door.serve_with(engine.replica("r2", "vllm"))
    engine.script(whole({"count": 2, "max_model_len": 8, "tokens": [1, 2]}))
    answer = await door.post({"model": "m", "messages": [WIZARD]}, "/tokenize")
    assert 200 == answer.status, answer.body
    heard: Any = engine.requests[-1].document["messages"]
    assert "user" == heard[0]["role"]
