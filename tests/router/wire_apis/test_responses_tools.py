"""router.wire_apis.responses.tools: groups of tools and custom tools, as functions and back."""

import orjson
import pytest

from router.errors import InvalidRequest
from router.wire_apis.pieces import Json
from router.wire_apis.responses.answers import ResponseWriter
from router.wire_apis.responses.requests import read_request

PARAMETERS: Json = {"type": "object", "properties": {"key": {"type": "string"}}}
READ: Json = {"type": "function", "name": "read", "description": "Reads.", "parameters": PARAMETERS, "strict": False}
PATCH: Json = {
    "type": "custom", "name": "patch", "description": "Edits.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: patch"},
}  # fmt: skip
DISK: Json = {"type": "namespace", "name": "mcp__disk", "description": "A disk.", "tools": [READ, PATCH]}
BROUGHT: Json = {"type": "additional_tools", "role": "developer", "tools": [DISK]}
USER: Json = {"role": "user", "content": "hi"}


def asked(**fields: object) -> Json:
    """The chat completion that is asked for."""
    return read_request(orjson.dumps({"model": "m", "input": [USER], **fields}))[0]


def names(body: Json) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", ())]


def answered(called: str, arguments: str, **fields: object) -> tuple[Json, list[Json]]:
    """What the client gets of a call: in a whole response, and the events of a stream."""
    _, known = read_request(orjson.dumps({"model": "m", "input": [USER], **fields}))
    call = {"index": 0, "id": "c1", "function": {"name": called, "arguments": arguments}}
    choice = {"index": 0, "finish_reason": "tool_calls"}
    completion = {"choices": [{**choice, "message": {"tool_calls": [call]}}]}
    whole = orjson.loads(ResponseWriter(known, "r1").whole(completion))
    writer = ResponseWriter(known, "r1")
    data = writer.feed({"choices": [{**choice, "delta": {"tool_calls": [call]}}]}) + writer.end()
    events = [orjson.loads(block.partition(b"data: ")[2]) for block in data.split(b"\n\n") if block]
    assert whole["output"] == events[-1]["response"]["output"]
    return whole["output"][0], events


def test_a_group_of_tools() -> None:
    """Is a function each, by the group's name and its own: so Codex hands on the tools of MCP's servers."""
    body = asked(tools=[DISK, {**READ, "name": "look"}])
    assert ["mcp__disk__read", "mcp__disk__patch", "look"] == names(body)
    wanted = {"name": "mcp__disk__read", "description": "Reads.", "parameters": PARAMETERS, "strict": False}
    assert wanted == body["tools"][0]["function"]


def test_a_call_of_a_group() -> None:
    """Comes back with the group apart from the name."""
    item, _ = answered("mcp__disk__read", '{"key":"a"}', tools=[DISK])
    assert ("function_call", "mcp__disk", "read", '{"key":"a"}') == (
        item["type"], item["namespace"], item["name"], item["arguments"]
    )  # fmt: skip


def test_a_custom_tool() -> None:
    """Is a function that takes a text, its grammar told in words."""
    (tool,) = asked(tools=[PATCH])["tools"]
    assert "Edits.\nThe grammar of `input`:\nstart: patch" == tool["function"]["description"]
    assert ["input"] == tool["function"]["parameters"]["required"]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [('{"input":"*** Begin"}', "*** Begin"), ("*** Begin", "*** Begin"), ('{"text":1}', '{"text":1}'), ("", "")],
)
def test_a_call_of_a_custom_tool(arguments: str, given: str) -> None:
    """Has the text itself, also where the model wrote it without what was to be around it."""
    item, events = answered("patch", arguments, tools=[PATCH])
    assert ("custom_tool_call", "patch", given) == (item["type"], item["name"], item["input"])
    kinds = ["response.custom_tool_call_input.delta", "response.custom_tool_call_input.done"]
    assert [(kinds[0], given), (kinds[1], given)] == [
        (one["type"], one.get("delta", one.get("input"))) for one in events if one["type"] in kinds
    ]


def test_tools_that_the_conversation_brings() -> None:
    """Are tools like others, once each."""
    assert ["look", "mcp__disk__read", "mcp__disk__patch"] == names(
        asked(tools=[{**READ, "name": "look"}], input=[BROUGHT, USER, BROUGHT, USER])
    )
    item, _ = answered("mcp__disk__read", "{}", input=[BROUGHT, USER])
    assert "mcp__disk" == item["namespace"]


def test_tools_that_were_found() -> None:
    """Are tools from then on."""
    found = {"type": "tool_search_output", "call_id": "c0", "tools": [READ]}
    assert ["read"] == names(asked(input=[USER, found]))


def test_a_past_call_of_a_group() -> None:
    """Has the name by which the model called it, whether the tool is still there or not."""
    call = {"type": "function_call", "call_id": "c1", "namespace": "mcp__disk", "name": "read", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "seen"}
    for tools in ([DISK], []):
        messages = asked(input=[USER, call, result], tools=tools)["messages"]
        assert "mcp__disk__read" == messages[1]["tool_calls"][0]["function"]["name"]


def test_names_that_would_be_the_same() -> None:
    """Are told apart, there and back."""
    flat = {**READ, "name": "mcp__disk__read"}
    assert ["mcp__disk__read", "mcp__disk__read_"] == names(asked(tools=[flat, {**DISK, "tools": [READ]}]))
    item, _ = answered("mcp__disk__read_", "{}", tools=[flat, DISK])
    assert ("mcp__disk", "read") == (item["namespace"], item["name"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "custom", "name": "patch"}, "patch"),
        ({"type": "function", "namespace": "mcp__disk", "name": "read"}, "mcp__disk__read"),
    ],
)
def test_a_tool_that_is_demanded(choice: Json, expected: str) -> None:
    """Is named as its function."""
    body = asked(tools=[DISK, PATCH], tool_choice=choice)
    assert {"type": "function", "function": {"name": expected}} == body["tool_choice"]


def test_tools_that_are_allowed() -> None:
    """Are the only ones that the model is told of."""
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]}
    body = asked(tools=[READ, {**READ, "name": "look"}], tool_choice=allowed)
    assert (["look"], "required") == (names(body), body["tool_choice"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "namespace", "tools": []}]}, "tools[0].name"),
        ({"tools": [{**DISK, "tools": [{"type": "function"}]}]}, "tools[0].tools[0].name"),
        ({"tools": [{**DISK, "tools": 3}]}, "tools[0].tools"),
        ({"input": [USER, {**BROUGHT, "tools": [{"type": "custom"}]}]}, "input[1].tools[0].name"),
        ({"tools": [READ], "tool_choice": {"type": "custom", "name": "gone"}}, "tool_choice.name"),
    ],
)
def test_a_mistake_is_named(fields: Json, param: str) -> None:
    """By the field where it is."""
    with pytest.raises(InvalidRequest) as raised:
        asked(**fields)
    assert param == raised.value.param
