"""router.wire_apis.responses: every kind of item that OpenAI's SDK can send as input."""

from typing import get_args, get_type_hints

import orjson
import pytest
from openai.types.responses.response_input_item_param import ResponseInputItemParam

from router.errors import InvalidRequest
from router.wire_apis.pieces import Json
from router.wire_apis.responses.requests import read_request

USER: Json = {"role": "user", "content": "hi"}
ASSISTANT: Json = {"role": "assistant", "content": "well"}
SCREEN: Json = {"type": "computer_screenshot", "image_url": "data:image/png;base64,aGk="}
CLICK: Json = {"type": "click", "x": 1, "y": 2}
RAN: Json = {"stdout": "a.py", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}
PDF: Json = {"type": "input_file", "filename": "a.pdf", "file_data": "JVBERi0x"}


def item(kind: str, **fields: object) -> Json:
    return {"type": kind, "id": "i1", **fields}


def call_of(kind: str, **fields: object) -> Json:
    return item(kind, call_id="c1", **fields)


ITEMS: dict[str, Json] = {
    one["type"]: one
    for one in (
        {"type": "message", **USER},
        item("file_search_call", queries=["moon"], results=[{"filename": "a.md", "text": "a page", "score": 0.5}]),
        call_of("computer_call", action=CLICK, pending_safety_checks=[]),
        call_of("computer_call_output", output=SCREEN),
        item("web_search_call", action={"type": "search", "query": "moon"}),
        call_of("function_call", name="look", arguments="{}"),
        call_of("function_call_output", output="seen"),
        item("tool_search_call", arguments={}), item("tool_search_output", tools=[]),
        item("additional_tools", role="developer", tools=[]),
        item("configuration_update", reasoning={"effort": "low"}),
        item("reasoning", summary=[], encrypted_content="x"),
        item("compaction", encrypted_content="x"), {"type": "compaction_trigger"},
        item("image_generation_call", result="aGk="),
        item("code_interpreter_call", code="1 + 1", outputs=[{"type": "logs", "logs": "2"}]),
        call_of("local_shell_call", action={"type": "exec", "command": ["ls"]}),
        {"type": "local_shell_call_output", "id": "c1", "output": "a.py"},
        call_of("shell_call", action={"commands": ["ls"]}), call_of("shell_call_output", output=[RAN]),
        call_of("apply_patch_call", operation={"type": "delete_file", "path": "a.py"}),
        call_of("apply_patch_call_output", status="completed"),
        item("mcp_list_tools", server_label="disk", tools=[]),
        item("mcp_approval_request", name="rm", arguments="{}", server_label="disk"),
        item("mcp_approval_response", approval_request_id="a1", approve=True),
        item("mcp_call", name="read", arguments='{"path":"a"}', server_label="disk", output="words"),
        call_of("custom_tool_call", name="patch", input="*** Begin"), call_of("custom_tool_call_output", output="done"),
        {"type": "item_reference", "id": "i1"},
        call_of("program", code="1"), call_of("program_output", result="1"),
    )
}  # fmt: skip


def messages(*items: Json) -> list[Json]:
    body, _ = read_request(orjson.dumps({"model": "m", "input": items}))
    found: list[Json] = body["messages"]
    return found


def kinds() -> set[str]:
    """Of the SDK's items, by its types."""
    hints = [get_type_hints(one)["type"] for one in get_args(ResponseInputItemParam)]
    return {
        name
        for hint in hints
        for literal in (hint, *get_args(hint))
        for name in get_args(literal)
        if isinstance(name, str)
    }


def test_every_kind_is_known() -> None:
    """A new SDK's kinds have to be decided on: those of today are all here."""
    assert set(ITEMS) == kinds()


REFUSED = {"compaction", "item_reference"}


@pytest.mark.parametrize("kind", sorted(set(ITEMS) - REFUSED))
def test_a_kind_in_the_history(kind: str) -> None:
    """Never ends a conversation."""
    assert "user" == messages(USER, ITEMS[kind], USER)[-1]["role"]


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_a_kind_that_would_lose_what_was_said(kind: str) -> None:
    """Is refused, with what to send instead."""
    with pytest.raises(InvalidRequest, match="send the") as raised:
        messages(USER, ITEMS[kind])
    assert "input[1]" == raised.value.param


def test_a_reference_without_a_type() -> None:
    """Is one all the same: the type may be left out."""
    with pytest.raises(InvalidRequest, match="refers to an item"):
        messages(USER, {"id": "i1", "type": None})


def test_items_of_tomorrow() -> None:
    """Are left out of the history; what has the user's role is what the user says."""
    assert ["hi"] == [one["content"] for one in messages(USER, {"type": "hologram", "data": "x"})]
    assert "hi\nhi" == messages(USER, {"type": "hologram", **USER})[0]["content"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("file_search_call", "From file_search:\nmoon\nfilename: a.md\na page\nscore: 0.5"),
        ("code_interpreter_call", "From code_interpreter:\n1 + 1\n2"),
        ("mcp_call", 'From read:\n{"path":"a"}\nwords'),
    ],
)
def test_what_a_tool_of_openais_found(kind: str, said: str) -> None:
    """Stands before what the model made of it, with what it was asked for, in the user's name."""
    assert [("user", f"hi\n{said}"), ("assistant", "well")] == [
        (one["role"], one["content"]) for one in messages(USER, ITEMS[kind], ASSISTANT)
    ]


@pytest.mark.parametrize(
    ("kind", "name", "arguments", "result"),
    [
        ("function_call", "look", {}, "seen"),
        ("custom_tool_call", "patch", {"input": "*** Begin"}, "done"),
        ("local_shell_call", "local_shell", {"action": {"type": "exec", "command": ["ls"]}}, "a.py"),
        ("shell_call", "shell", {"action": {"commands": ["ls"]}}, "a.py\nexit_code: 0"),
        ("apply_patch_call", "apply_patch", {"operation": {"type": "delete_file", "path": "a.py"}}, "completed"),
        ("computer_call", "computer", {"action": CLICK}, ""),
    ],
)
def test_calls_that_the_client_answered(kind: str, name: str, arguments: Json, result: str) -> None:
    """Are calls with their results, whatever OpenAI calls them."""
    found = messages(USER, ITEMS[kind], ITEMS[f"{kind}_output"])
    (call,) = found[1]["tool_calls"]
    assert (name, arguments) == (call["function"]["name"], orjson.loads(call["function"]["arguments"]))
    assert {"role": "tool", "tool_call_id": "c1", "content": result} == found[2]


def test_a_screenshot() -> None:
    """Goes on with the user, since a tool's message holds only text."""
    said = messages(USER, ITEMS["computer_call"], ITEMS["computer_call_output"])[-1]
    assert ("user", ["text", "image_url"]) == (said["role"], [part["type"] for part in said["content"]])


def test_a_result_without_a_call() -> None:
    """Is said by its tool's name."""
    output = {"type": "function_call_output", "name": "look", "output": "seen"}
    assert "hi\nFrom look:\nseen" == messages(USER, output)[-1]["content"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "input_file", "filename": "a.py", "file_data": "aW1wb3J0IG9z"}, "a.py\nimport os"),
        ({"type": "input_file", "file_data": "data:text/plain;base64,aGk="}, "hi"),
        ({"type": "refusal", "refusal": "No."}, "No."),
    ],
)
def test_a_part_with_a_text(part: Json, said: str) -> None:
    """Is read."""
    assert said == messages({"role": "user", "content": [part]})[0]["content"]


def test_sound() -> None:
    """Is passed on, to models that hear."""
    part = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
    assert [part] == messages({"role": "user", "content": [part]})[0]["content"]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (PDF, "file_data"),
        ({"type": "input_file", "file_url": "http://m/a.pdf"}, "file_url"),
        ({"type": "input_file", "file_id": "f1"}, "file_id"),
        ({"type": "input_image", "file_id": "f1"}, "image_url"),
        ({"type": "hologram"}, "type"),
    ],
)
def test_a_part_that_cannot_be_shown(part: Json, field: str) -> None:
    """Is refused by its place in what the user says; in a tool's result there is a note, if it is a file."""
    with pytest.raises(InvalidRequest) as raised:
        messages({"role": "user", "content": [part]})
    assert f"input[0].content[0].{field}" == raised.value.param


@pytest.mark.parametrize("part", [PDF, {"type": "input_image", "file_id": "f1"}])
def test_a_file_in_a_result(part: Json) -> None:
    """Is a note: the model can ask for its text in another way."""
    output = {**ITEMS["function_call_output"], "output": [part]}
    assert "cannot be shown" in messages(USER, ITEMS["function_call"], output)[-1]["content"]


def test_parts_that_the_model_gave() -> None:
    """Are texts, and no other part of them makes a request fail."""
    said = {"role": "assistant", "content": [{"type": "hologram"}, {"type": "output_text", "text": "well"}]}
    assert "well" == messages(USER, said)[1]["content"]
