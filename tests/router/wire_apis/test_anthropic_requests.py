"""router.wire_apis.anthropic.requests: an Anthropic request as a chat completion."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import InvalidRequest
from router.wire_apis.anthropic.requests import read_request
from router.wire_apis.pieces import Json
from router.wire_apis.translation import chat_call

PIXEL = {"type": "base64", "media_type": "image/png", "data": "aGk="}
LOOK = {"name": "look", "description": "Look at it.", "input_schema": {"type": "object", "properties": {}}}
LOOK_FUNCTION = {
    "type": "function",
    "function": {"name": "look", "description": "Look at it.", "parameters": {"type": "object", "properties": {}}},
}


def read(**fields: object) -> Json:
    """The chat completion's body."""
    asked = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}], **fields}
    body, _, _ = read_request(orjson.dumps(asked))
    return chat_call(body).body


def messages(*given_messages: Json, **fields: object) -> list[Json]:
    found: list[Json] = read(messages=given_messages, **fields)["messages"]
    return found


def user(*blocks: object) -> Json:
    return {"role": "user", "content": list(blocks)}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def use(call_id: str, **arguments: object) -> Json:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": arguments}


def result(call_id: str, content: object = "seen", **fields: object) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}


def called(*call_ids: str) -> list[Json]:
    return [{"id": one, "type": "function", "function": {"name": "look", "arguments": "{}"}} for one in call_ids]


# messages


def test_the_simplest_request() -> None:
    """A model, a limit, a message."""
    assert {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]} == read()


@pytest.mark.parametrize(
    "system", ["a\nb", [text("a"), {**text("b"), "cache_control": {"type": "ephemeral"}}]], ids=["string", "blocks"]
)
def test_the_system_prompt(system: object) -> None:
    """Is the first message, in either form."""
    assert {"role": "system", "content": "a\nb"} == read(system=system)["messages"][0]


def test_the_billing_line_of_claude_code() -> None:
    """Differs with each request, so it must not be what engines read first."""
    line = "x-anthropic-billing-header: cc_version=2.1; cch=1a2b3;"
    assert "You code." == read(system=[text(line), text("You code.")])["messages"][0]["content"]
    assert "You code." == read(system=f"{line}\nYou code.")["messages"][0]["content"]


def test_neighbours_with_one_role() -> None:
    """Are one message, for templates that demand turns."""
    said = [{"role": "user", "content": "a"}, user(text("b")), {"role": "assistant", "content": "c"}, user(text("d"))]
    assert [("user", "a\nb"), ("assistant", "c"), ("user", "d")] == [(m["role"], m["content"]) for m in messages(*said)]


def test_a_system_message_in_mid_conversation() -> None:
    """Keeps its place, in the user's name."""
    found = messages(user(text("hi")), {"role": "system", "content": "Be brief."})
    assert [{"role": "user", "content": "hi\n<system>\nBe brief.\n</system>"}] == found


def test_a_system_message_does_not_part_calls_from_results() -> None:
    """Engines refuse a call that is not followed by its result."""
    said = [user(text("hi")), {"role": "assistant", "content": [use("c1")]}, {"role": "system", "content": "Now."}]
    roles = [message["role"] for message in messages(*said, user(result("c1")))]
    assert ["user", "assistant", "tool", "user"] == roles


def test_a_leading_system_message() -> None:
    """Is more of the system prompt."""
    found = messages({"role": "system", "content": "b"}, user(text("hi")), system="a")
    assert [{"role": "system", "content": "a\nb"}, {"role": "user", "content": "hi"}] == found


def test_images() -> None:
    """As data or as an address, among texts in their order."""
    found = messages(
        user(
            text("see"),
            {"type": "image", "source": PIXEL},
            {"type": "image", "source": {"type": "url", "url": "http://x/y"}},
        )
    )
    parts = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "http://x/y"}},
    ]
    assert [{"role": "user", "content": parts}] == found


def test_a_document_that_is_text() -> None:
    """Is read with its title."""
    source = {"type": "text", "media_type": "text/plain", "data": "words"}
    assert "notes\nwords" == messages(user({"type": "document", "title": "notes", "source": source}))[0]["content"]


def test_a_round_of_tools() -> None:
    """Calls with their arguments as text, each result as a message of its own, and then what the user says."""
    found = messages(
        user(text("look")),
        {"role": "assistant", "content": [text("I look."), use("c1", far=True), use("c2")]},
        user(result("c1", [text("a"), text("b")]), result("c2", "no", is_error=True), text("well?")),
    )
    calls = called("c1", "c2")
    calls[0]["function"]["arguments"] = '{"far":true}'
    assert [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "content": "a\nb"},
        {"role": "tool", "tool_call_id": "c2", "content": "Error:\nno"},
        {"role": "user", "content": "well?"},
    ] == found


def test_a_call_without_words() -> None:
    """Has an empty content: templates write out a null."""
    found = messages(user(text("look")), {"role": "assistant", "content": [use("c1")]}, user(result("c1")))
    assert {"role": "assistant", "content": "", "tool_calls": called("c1")} == found[1]


def test_an_image_that_a_tool_gave() -> None:
    """Goes on with the user, since a tool's message holds only text."""
    found = messages(
        user(text("look")),
        {"role": "assistant", "content": [use("c1")]},
        user(result("c1", [text("a"), {"type": "image", "source": PIXEL}])),
    )
    assert {"role": "tool", "tool_call_id": "c1", "content": "a"} == found[2]
    assert ["text", "image_url"] == [part["type"] for part in found[3]["content"]]


def test_an_unknown_block_in_a_result() -> None:
    """Says to a model what it says to anybody."""
    block = {"type": "hologram", "of": "look"}
    found = messages(user(text("a")), {"role": "assistant", "content": [use("c1")]}, user(result("c1", [block])))
    assert block == orjson.loads(found[2]["content"])


def test_a_tool_that_was_searched_for() -> None:
    """Is said to be there: Claude Code sends it among its tools from then on."""
    block = {"type": "tool_reference", "tool_name": "look"}
    found = messages(user(text("a")), {"role": "assistant", "content": [use("c1")]}, user(result("c1", [block])))
    assert "The tool look can be called now." == found[2]["content"]


def change(kind: str, tool: Json) -> Json:
    return {"role": "system", "content": [{"type": kind, "tool": tool}]}


NAMED: Json = {"type": "tool_reference", "name": "look"}
DEFINED: Json = {"type": "tool_definition", "definition": LOOK}


@pytest.mark.parametrize(
    ("tools", "changes", "expected"),
    [
        ([], [change("tool_addition", DEFINED)], ["look"]),
        ([LOOK], [change("tool_addition", DEFINED), change("tool_addition", NAMED)], ["look"]),
        ([LOOK], [change("tool_removal", NAMED)], None),
        ([LOOK], [change("tool_removal", NAMED), change("tool_addition", NAMED)], ["look"]),
        ([], [change("tool_addition", DEFINED), change("tool_removal", NAMED)], None),
        ([], [change("tool_addition", NAMED)], None),
        ([LOOK], [change("tool_removal", {"type": "mcp_toolset_reference", "server_name": "look"})], ["look"]),
        ([], [change("tool_addition", {"type": "tool_definition", "definition": {"type": "bash_20250124"}})], None),
    ],
)  # fmt: skip
def test_tools_that_come_and_go(tools: list[Json], changes: list[Json], expected: list[str] | None) -> None:
    """In the conversation itself: the model is told of those that are there at its end."""
    body = read(messages=[user(text("a")), *changes], tools=tools)
    assert expected == ([tool["function"]["name"] for tool in body["tools"]] if "tools" in body else None)


def test_a_tool_that_comes_with_a_mistake() -> None:
    """Is named by its place."""
    wrong = change("tool_addition", {"type": "tool_definition", "definition": {"name": "look"}})
    with pytest.raises(InvalidRequest) as raised:
        messages(user(text("a")), wrong)
    assert "messages[1].content[0].tool.definition.input_schema" == raised.value.param


def test_a_reminder_for_one_turn() -> None:
    """Is gone when the user speaks again."""
    reminder = {"role": "system", "content": "Soon.", "clear_at": "next_user_message"}
    assert "a\n<system>\nSoon.\n</system>" == messages(user(text("a")), reminder)[0]["content"]
    later = messages(user(text("a")), reminder, {"role": "assistant", "content": "b"}, user(text("c")))
    assert ["a", "b", "c"] == [message["content"] for message in later]


def test_thinking() -> None:
    """Goes back to the model while its turn lasts, and not from turns before."""
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    step = {"role": "assistant", "content": [thought, use("c1")]}
    same_turn = messages(user(text("a")), step, user(result("c1")))
    assert "hm" == same_turn[1]["reasoning_content"]
    later = messages(user(text("a")), step, user(result("c1")), {"role": "assistant", "content": "b"}, user(text("c")))
    assert "reasoning_content" not in later[1]


def test_blocks_of_anthropics_servers_in_the_history() -> None:
    """Are left out, and so is a message that has nothing else."""
    search: Json = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    found = messages(user(text("a")), {"role": "assistant", "content": [search, text("b")]}, user(text("c")))
    assert ["a", "b", "c"] == [message["content"] for message in found]
    assert ["a"] == [one["content"] for one in messages(user(text("a")), {"role": "assistant", "content": [search]})]


# tools and the other fields


@pytest.mark.parametrize(
    ("choice", "fields"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "look"}, {"tool_choice": {"type": "function", "function": {"name": "look"}}}),
        ({"type": "auto", "disable_parallel_tool_use": True}, {"tool_choice": "auto", "parallel_tool_calls": False}),
    ],
)
def test_tool_choice(choice: Json, fields: Json) -> None:
    """In OpenAI's words."""
    body = read(tools=[{**LOOK, "cache_control": {"type": "ephemeral"}}], tool_choice=choice)
    assert {"tools": [LOOK_FUNCTION], **fields} == {name: body[name] for name in ("tools", *fields)}


def test_tools_of_anthropics_own() -> None:
    """Are left out: no other model knows them."""
    own = [{"type": "web_search_20250305", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"}]
    assert [LOOK_FUNCTION] == read(tools=[*own, {**LOOK, "type": "custom"}])["tools"]
    assert {"model", "max_tokens", "messages"} == set(read(tools=own, tool_choice={"type": "auto"}))


def test_the_other_fields() -> None:
    """What both have goes on; what only Anthropic has, and what nobody knows, does not."""
    body = read(
        temperature=0.5, top_p=0.9, top_k=40, stop_sequences=["END"], stream=True, service_tier="auto",
        thinking={"type": "adaptive"}, context_management={"edits": []}, betas=["x"], brand_new={"a": 1},
        output_config={"effort": "high"}, metadata={"user_id": "u1"}, mcp_servers=[], container=None,
    )  # fmt: skip
    assert {
        "model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5,
        "top_p": 0.9, "top_k": 40, "stop": ["END"], "stream": True, "stream_options": {"include_usage": True},
    } == body  # fmt: skip


@pytest.mark.parametrize(
    ("thinking", "shows_thinking"),
    [(None, False), ("disabled", False), ("enabled", True), ("adaptive", True), ("one_of_tomorrow", True)],
)
def test_who_wants_thoughts(thinking: str | None, shows_thinking: bool) -> None:  # noqa: FBT001 - the table's column
    """Clients are newer than servers: a kind of thinking that is not known is a wish for it."""
    fields = {"model": "m", "max_tokens": 1, "messages": [user(text("a"))]}
    asked = fields if thinking is None else {**fields, "thinking": {"type": thinking}}
    assert shows_thinking == read_request(orjson.dumps(asked))[1].shows_thinking


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_a_schema_for_the_answer(name: str) -> None:
    """Under the name of today and of before."""
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    body = read(**{name: {"format": wanted} if name == "output_config" else wanted})
    assert {"type": "object"} == body["response_format"]["json_schema"]["schema"]


def test_the_conversation_has_a_name() -> None:
    """Claude Code says it in `metadata`, and a replica that has read it before is asked again."""
    fields = {"model": "m", "max_tokens": 1, "messages": [user(text("a"))], "metadata": {"user_id": "u_session_1"}}
    assert b"u_session_1" == read_request(orjson.dumps(fields))[2]


# mistakes


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "messages[0].role"),
        ({"messages": [user("hi")]}, "messages[0].content[0]"),
        ({"messages": [user(text("a"), {"type": "text"})]}, "messages[0].content[1].text"),
        ({"messages": [user({"type": "video"})]}, "messages[0].content[0].type"),
        ({"messages": [user({"type": "image"})]}, "messages[0].content[0].source"),
        ({"messages": [user({"type": "image", "source": {"type": "file"}})]}, "messages[0].content[0].source.type"),
        ({"messages": [user({"type": "document", "source": PIXEL})]}, "messages[0].content[0].source.type"),
        ({"messages": [user({"type": "tool_result"})]}, "messages[0].content[0].tool_use_id"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]}, "messages[0].content[0].id"),
        ({"system": 3}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].text"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool", "name": "gone"}}, "tool_choice.name"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"thinking": {"type": 3}}, "thinking.type"),
        ({"metadata": "u1"}, "metadata"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(fields: dict[str, Any], param: str) -> None:
    """By the field where it is, in the message too, which is all that Anthropic's clients show."""
    with pytest.raises(InvalidRequest) as raised:
        read(**fields)
    assert param == raised.value.param
    assert f"`{param}" in raised.value.message


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "DEEP"}},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "other", "a": "DEEP"}]},
    ],
)  # fmt: skip
def test_what_is_nested_too_deeply(block: dict[str, Any]) -> None:
    """Is the client's mistake: it can be read, but not written."""
    role = "assistant" if block["type"] == "tool_use" else "user"
    asked = orjson.dumps({"model": "m", "max_tokens": 8, "messages": [{"role": role, "content": [block]}]})
    with pytest.raises(InvalidRequest):
        read_request(asked.replace(b'"DEEP"', b"[" * 300 + b"]" * 300))


BLOCK_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "role", "content", "source", "input", "id", "name", "tool_use_id", "data", "title"]
            ),
            inner
            | st.sampled_from(["user", "assistant", "text", "image", "tool_use", "tool_result", "document", "base64"])
            | st.sampled_from(["mcp_tool_use", "mcp_tool_result", "compaction", "search_result", "container_upload"]),
            max_size=5,
        )
    ),
    max_leaves=15,
)


@given(BLOCK_JSON, BLOCK_JSON, BLOCK_JSON)
def test_any_json_is_a_request_or_a_mistake(system: object, said: object, tools: object) -> None:
    """Never anything else: no client's JSON makes the router fail."""
    try:
        body = read(system=system, messages=said, tools=tools)
    except InvalidRequest:
        return
    assert all(message["role"] in ("system", "user", "assistant", "tool") for message in body["messages"])
