"""router.wire_apis.anthropic: every kind of block that Anthropic's SDK can send, in either turn."""

from typing import get_args, get_type_hints

import orjson
import pytest
from anthropic.types.beta.beta_content_block_param import BetaContentBlockParam

from router.errors import InvalidRequest
from router.wire_apis.anthropic.requests import read_request
from router.wire_apis.pieces import Json

TEXT: Json = {"type": "text", "text": "words", "cache_control": {"type": "ephemeral"}}
PIXEL: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PDF: Json = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}}
REFERENCE: Json = {"type": "tool_reference", "name": "look"}
DOCUMENT: Json = {"type": "document", "title": "notes", "source": {"type": "text", "data": "a page"}}
FOUND: Json = {"type": "web_search_result", "title": "Moon", "url": "http://m", "encrypted_content": "x"}
FETCHED: Json = {"type": "web_fetch_result", "url": "http://m", "content": DOCUMENT}
RAN: Json = {"type": "code_execution_result", "stdout": "42", "stderr": "", "return_code": 0, "content": []}
VIEWED: Json = {"type": "text_editor_code_execution_view_result", "content": "import os", "file_type": "text"}


def found(kind: str, content: object, **fields: object) -> Json:
    return {"type": f"{kind}_tool_result", "tool_use_id": "s1", "content": content, **fields}


BLOCKS: dict[str, Json] = {
    block["type"]: block
    for block in (
        TEXT, PIXEL, DOCUMENT,
        {"type": "search_result", "title": "Moon", "source": "http://m", "content": [TEXT]},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "tool_use", "id": "c1", "name": "look", "input": {}},
        {"type": "tool_result", "tool_use_id": "c1", "content": "seen"},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "moon"}},
        {"type": "mcp_tool_use", "id": "s1", "name": "files", "server_name": "disk", "input": {}},
        found("web_search", [FOUND]), found("web_fetch", FETCHED), found("code_execution", RAN),
        found("advisor", {"type": "advisor_result", "text": "Wait."}), found("bash_code_execution", RAN),
        found("text_editor_code_execution", VIEWED),
        found("tool_search", {"type": "tool_search_tool_search_result", "tool_references": [REFERENCE]}),
        found("mcp", [TEXT]),
        {"type": "container_upload", "file_id": "f1"},
        {"type": "compaction", "content": "so far", "encrypted_content": None},
        {"type": "tool_addition", "tool": REFERENCE}, {"type": "tool_removal", "tool": REFERENCE},
        {"type": "mcp_tool_listing", "mcp_server_name": "disk", "tools": []},
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}},
    )
}  # fmt: skip
KINDS = {get_args(get_type_hints(one)["type"])[0] for one in get_args(BetaContentBlockParam) if isinstance(one, type)}
REFUSED_OF_USERS = {"tool_use", "container_upload"}


def messages(*given: Json) -> list[Json]:
    body, _, _ = read_request(orjson.dumps({"model": "m", "max_tokens": 8, "messages": given}))
    found_messages: list[Json] = body["messages"]
    return found_messages


def user(*blocks: Json) -> Json:
    return {"role": "user", "content": [*blocks]}


def assistant(*blocks: Json) -> Json:
    return {"role": "assistant", "content": [*blocks]}


def texts(*given: Json) -> list[tuple[str, object]]:
    return [(message["role"], message["content"]) for message in messages(*given)]


def test_every_kind_is_known() -> None:
    """A new SDK's kinds have to be decided on: those of today are all here."""
    assert set(BLOCKS) == KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_in_the_history(kind: str) -> None:
    """Never ends a conversation, for nobody can take it back."""
    assert "user" == messages(user(TEXT), assistant(BLOCKS[kind], TEXT), user(TEXT))[-1]["role"]


@pytest.mark.parametrize("kind", sorted(KINDS - REFUSED_OF_USERS))
def test_a_kind_in_a_users_turn(kind: str) -> None:
    """Is read."""
    assert messages(user(BLOCKS[kind], TEXT))[-1]["content"]


@pytest.mark.parametrize("kind", sorted(REFUSED_OF_USERS))
def test_a_kind_that_would_lose_what_was_said(kind: str) -> None:
    """Is refused, and named."""
    with pytest.raises(InvalidRequest, match=kind) as raised:
        messages(user(TEXT, BLOCKS[kind]))
    assert "messages[0].content[1].type" == raised.value.param


def test_kinds_of_tomorrow() -> None:
    """Are left out of the history, and refused where the user's words would be lost."""
    assert [("user", "words"), ("assistant", "words")] == texts(user(TEXT), assistant({"type": "hologram"}, TEXT))
    with pytest.raises(InvalidRequest, match="'hologram'"):
        messages(user(TEXT, {"type": "hologram"}))


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (found("web_search", [FOUND, FOUND]), "Moon\nhttp://m\nMoon\nhttp://m"),
        (found("web_search", {"type": "web_search_tool_result_error", "error_code": "unavailable"}),
         "error_code: unavailable"),
        (found("web_fetch", FETCHED), "http://m\nnotes\na page"),
        (found("web_fetch", {**FETCHED, "content": PDF}), "http://m"),
        (found("code_execution", {**RAN, "stderr": "warned"}), "42\nstderr: warned\nreturn_code: 0"),
        (found("text_editor_code_execution", VIEWED), "import os"),
        (found("advisor", {"type": "advisor_result", "text": "Wait."}), "Wait."),
        (found("mcp", [TEXT], is_error=True), "Error:\nwords"),
        (found("mcp", "as a string"), "as a string"),
        (found("of_tomorrow", {"type": "x", "answer": "yes"}), "answer: yes"),
    ],
)  # fmt: skip
def test_what_a_server_tool_found(block: Json, said: str) -> None:
    """Stands before what the model made of it, with what it was asked for, in the user's name."""
    asked = [user(TEXT), assistant(BLOCKS["server_tool_use"], block, TEXT)]
    assert [
        ("user", f'words\nFrom web_search {{"query":"moon"}}:\n{said}'), ("assistant", "words"),
    ] == texts(*asked)  # fmt: skip


def test_a_result_whose_request_is_gone() -> None:
    """Says by which tool it was found."""
    assert ("user", "words\nFrom web_search:\nMoon\nhttp://m") == texts(
        user(TEXT), assistant(found("web_search", [FOUND]))
    )[0]


def test_a_result_that_only_anthropic_can_read() -> None:
    """Is left out."""
    hidden = found("advisor", {"type": "advisor_redacted_result", "encrypted_content": "x"})
    assert [("user", "words"), ("assistant", "words")] == texts(user(TEXT), assistant(hidden, TEXT))


def test_a_server_tool_beside_a_tool_of_the_clients() -> None:
    """Does not come between a call and its result."""
    said = [user(TEXT), assistant(BLOCKS["tool_use"]), assistant(found("web_search", [FOUND]), TEXT)]
    roles = [message["role"] for message in messages(*said, user(BLOCKS["tool_result"], TEXT))]
    assert ["user", "assistant", "tool", "user"] == roles


def test_a_summary() -> None:
    """Takes the place of all before it, as it does at Anthropic's, and the system prompt stays."""
    summary = {"type": "compaction", "content": "so far"}
    found_messages = messages(
        {"role": "system", "content": "Be brief."}, user(TEXT), assistant(TEXT, summary, TEXT), user(TEXT)
    )
    assert [
        ("system", "Be brief."), ("user", "<summary>\nso far\n</summary>"), ("assistant", "words"), ("user", "words"),
    ] == [(message["role"], message["content"]) for message in found_messages]  # fmt: skip


def test_a_summary_that_failed() -> None:
    """Changes nothing."""
    failed = {"type": "compaction", "content": None}
    assert [("user", "words"), ("assistant", "words")] == texts(user(TEXT), assistant(failed, TEXT))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"type": "content", "content": "a page"}, "notes\na page"),
        ({"type": "content", "content": [TEXT, TEXT]}, "notes\nwords\nwords"),
        ({"type": "base64", "media_type": "text/markdown", "data": "IyDDqQ=="}, "notes\n# é"),
    ],
)  # fmt: skip
def test_a_document(source: Json, said: str) -> None:
    """Is read with its title where it is text, in whichever form."""
    assert [("user", said)] == texts(user({"type": "document", "title": "notes", "source": source}))


def test_a_document_with_pages_as_images() -> None:
    """Keeps their order."""
    source = {"type": "content", "content": [TEXT, PIXEL, TEXT]}
    (message,) = messages(user({"type": "document", "title": "notes", "source": source}))
    assert ["text", "image_url", "text"] == [part["type"] for part in message["content"]]
    assert "notes\nwords" == message["content"][0]["text"]


UNSHOWN = [
    PDF,
    {"type": "document", "source": {"type": "url", "url": "http://m/a.pdf"}},
    {"type": "document", "source": {"type": "file", "file_id": "f1"}},
    {"type": "image", "source": {"type": "file", "file_id": "f1"}},
]


@pytest.mark.parametrize("block", UNSHOWN)
def test_what_cannot_be_shown(block: Json) -> None:
    """Is refused by its place, and the message says what to send instead."""
    with pytest.raises(InvalidRequest) as raised:
        messages(user(TEXT, block))
    assert "messages[0].content[1].source.type" == raised.value.param
    assert any(way in raised.value.message for way in ("as images", "base64 or url"))


@pytest.mark.parametrize("block", UNSHOWN)
@pytest.mark.parametrize("is_inside", [True, False])
def test_what_a_tool_brought_and_cannot_be_shown(block: Json, is_inside: bool) -> None:  # noqa: FBT001 - the table's column
    """Is a note to the model: in the result, or beside it, as Claude Code has the PDF that it was told to read."""
    result = {**BLOCKS["tool_result"], "content": [block]} if is_inside else BLOCKS["tool_result"]
    said = [user(TEXT), assistant(BLOCKS["tool_use"]), user(result, *([] if is_inside else [block]))]
    assert "which" in messages(*said)[-1]["content"]


def test_a_base64_text_that_is_none() -> None:
    """Is named."""
    source = {"type": "base64", "media_type": "text/plain", "data": "/w=="}
    with pytest.raises(InvalidRequest, match="UTF-8") as raised:
        messages(user({"type": "document", "source": source}))
    assert "messages[0].content[0].source.data" == raised.value.param


def test_a_system_message_with_changes_of_tools() -> None:
    """Is read without them."""
    system = {"role": "system", "content": [BLOCKS["tool_addition"], {"type": "text", "text": "Now."}]}
    assert [("user", "words\n<system>\nNow.\n</system>")] == texts(user(TEXT), system)


def test_a_result_that_is_nested_deeply() -> None:
    """Ends somewhere, and no request fails by it."""
    deep = orjson.dumps({"model": "m", "max_tokens": 8, "messages": [user(TEXT), assistant(found("x", "DEEP"))]})
    body, _, _ = read_request(deep.replace(b'"DEEP"', b"[" * 900 + b"]" * 900))
    assert ["user"] == [message["role"] for message in body["messages"]]
