"""router.fitting.chat_roles: chats as a template takes them, and as they were where it takes them so."""

from collections.abc import Sequence
from typing import Any

import pytest
from door import Door
from scripted_engine import ScriptedEngine
from wire import HELLO_STREAM, WHOLE

from configs.roles import RoleRefusal
from router.fitting.chat_roles import Message, adapt
from router.replicas.registry import Replica

EVERYTHING: tuple[RoleRefusal, ...] = ("developer", "system", "late_system", "neighbours")
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def said(role: str, content: Any = "x", **fields: object) -> Message:
    return {"role": role, "content": content, **fields}


# Copilot's first request in agent mode: two messages of the user's behind each other.
COPILOT = [said("system", "s"), said("user", "a"), said("user", "b")]


@pytest.mark.parametrize(
    ("messages", "refusals", "expected"),
    [
        (COPILOT, ("neighbours",), [said("system", "s"), said("user", "a\nb")]),
        ([said("developer", "d"), said("user")], ("developer",), [said("system", "d"), said("user")]),
        (
            [said("system", "s"), said("user", "a"), said("system", "late")],
            ("late_system",),
            [said("system", "s"), said("user", "a"), said("user", "<system>\nlate\n</system>")],
        ),
        (
            [said("system", "s"), said("user", "a"), said("system", "late")],
            ("late_system", "neighbours"),
            [said("system", "s"), said("user", "a\n<system>\nlate\n</system>")],
        ),
        (
            [said("system", "s"), said("user", "a")],
            ("system", "neighbours"),
            [said("user", "<system>\ns\n</system>\na")],
        ),
        (
            [said("system", "a"), said("system", "b"), said("user")],
            ("neighbours",),
            [said("system", "a\nb"), said("user")],
        ),
        ([said("developer", "a"), said("system", "b")], EVERYTHING[:1], [said("system", "a"), said("system", "b")]),
        (
            [said("developer", "a"), said("system", "b"), said("user")],
            ("developer", "late_system"),
            [said("system", "a\nb"), said("user")],
        ),
    ],
)
def test_what_a_template_refuses_is_said_otherwise(
    messages: Sequence[Message], refusals: tuple[RoleRefusal, ...], expected: list[Message]
) -> None:
    """Each refusal has one remedy, and they go together."""
    assert expected == adapt(messages, refusals)


def test_a_late_system_message_waits_for_results() -> None:
    """Nothing may come between a call and its result."""
    messages = [
        said("user", "a"), said("assistant", "", tool_calls=[CALL]), said("system", "late"),
        said("tool", "1", tool_call_id="c1"), said("assistant", "b"),
    ]  # fmt: skip
    assert ["user", "assistant", "tool", "user", "assistant"] == [
        one["role"] for one in adapt(messages, ("late_system",))
    ]


def test_results_are_never_merged() -> None:
    """Each answers a call of its own."""
    messages = [said("tool", "1", tool_call_id="c1"), said("tool", "2", tool_call_id="c2")]
    assert messages == adapt(messages, EVERYTHING)


def test_what_the_model_said_and_called_is_one_message() -> None:
    """An empty text beside calls adds nothing."""
    messages = [said("assistant", "I look."), said("assistant", "", tool_calls=[CALL])]
    assert [said("assistant", "I look.", tool_calls=[CALL])] == adapt(messages, ("neighbours",))


@pytest.mark.parametrize("reasoning", [5, {"text": "x"}, True])
def test_what_is_no_text_is_not_joined(reasoning: object) -> None:
    """The router does not check every field: that of the second message is left for the engine to judge."""
    messages = [said("assistant", "a", reasoning_content=reasoning), said("assistant", "b", reasoning_content="why")]
    assert [said("assistant", "a\nb", reasoning_content="why")] == adapt(messages, ("neighbours",))


def test_images_stay_where_they_are() -> None:
    """A text beside parts becomes a part."""
    messages = [said("user", "a"), said("user", [IMAGE]), said("user", "b")]
    text = {"type": "text", "text": "a"}
    assert [said("user", [text, IMAGE, {"type": "text", "text": "b"}])] == adapt(messages, ("neighbours",))


def test_the_system_may_speak_in_parts() -> None:
    """They are kept, between the marks."""
    part = {"type": "text", "text": "late"}
    [_, late] = adapt([said("user"), said("system", [part])], ("late_system",))
    assert [{"type": "text", "text": "<system>"}, part, {"type": "text", "text": "</system>"}] == late["content"]


def test_names_that_differ_are_dropped() -> None:
    """One message cannot have two."""
    assert [said("user", "x\nx")] == adapt([said("user", name="ann"), said("user", name="bob")], ("neighbours",))
    assert [said("user", "x\nx", name="ann")] == adapt([said("user", name="ann")] * 2, ("neighbours",))


# through a router


def replica(engine: ScriptedEngine, *refusals: RoleRefusal) -> Replica:
    return Replica("s1", "m", "127.0.0.1", engine.port, "s", "vllm", "vllm", role_refusals=refusals)


CHAT = "/v1/chat/completions"


async def test_a_capable_template_gets_every_byte(door: Door, engine: ScriptedEngine) -> None:
    """Two users, a `developer`, a late system prompt and an empty text beside calls pass as they came."""
    engine.otherwise = [WHOLE]
    door.serve_with(replica(engine))
    messages = [
        said("developer"), said("user"), said("user"), said("assistant", "", tool_calls=[CALL]),
        said("tool", "1", tool_call_id="c1"), said("system", "late"),
    ]  # fmt: skip
    assert 200 == (await door.post({"model": "m", "messages": messages}, CHAT)).status
    assert {"model": "m", "messages": messages} == engine.requests[-1].document


async def test_a_strict_template_gets_what_it_takes(door: Door, engine: ScriptedEngine) -> None:
    """By what its replica says, whichever engine that is; a stream as well."""
    engine.otherwise = [HELLO_STREAM]
    door.serve_with(replica(engine, "neighbours", "developer"))
    body = {"model": "m", "messages": [said("developer", "d"), *COPILOT[1:]], "stream": True}
    assert 200 == (await door.post(body, CHAT)).status
    assert [said("system", "d"), said("user", "a\nb")] == engine.requests[-1].document["messages"]


async def test_the_settings_say_what_is_refused(door: Door, engine: ScriptedEngine) -> None:
    """An empty list changes nothing, whatever the engine is found to refuse."""
    engine.otherwise = [WHOLE]
    door.serve_with(replica(engine, "neighbours"))
    body = {"model": "m", "messages": COPILOT}
    door.set_route(roles={"refuses": []})
    await door.post(body, CHAT)
    door.set_route(roles={"refuses": ["system"]})
    await door.post(body, CHAT)
    assert [COPILOT, ["user"] * 3] == [
        engine.requests[0].document["messages"],
        [one["role"] for one in engine.requests[1].document["messages"]],  # type: ignore[attr-defined]
    ]
