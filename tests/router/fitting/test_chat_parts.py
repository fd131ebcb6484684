"""router.fitting.chat_parts: files, refusals and sound in a chat, for engines that have no place for them."""

import base64

import orjson
import pytest

from router.call import ROUTES, Call, parse_call
from router.errors import InvalidRequest
from router.fitting.chat_parts import fit_parts
from router.wire_apis.pieces import Json

HI: Json = {"role": "user", "content": "hi"}


def chat(*messages: Json, **fields: object) -> Call:
    return parse_call(ROUTES["/v1/chat/completions"], orjson.dumps({"model": "m", "messages": messages, **fields}))


def fitted(*messages: Json) -> list[Json]:
    found: list[Json] = orjson.loads(fit_parts(chat(*messages)).raw)["messages"]
    return found


def file(**fields: object) -> Json:
    return {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "file", "file": fields}]}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"file_data": encoded("a é".encode())}, "a é"),
        ({"file_data": f"data:text/x-python;base64,{encoded(b'import os')}", "filename": "a.py"}, "a.py\nimport os"),
    ],
)
def test_a_file_of_text(fields: Json, said: str) -> None:
    """Is read as one, after its name."""
    assert said == fitted(file(**fields))[0]["content"][1]["text"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"file_data": f"data:application/pdf;base64,{encoded(b'words')}"}, "file_data"),
        ({"file_data": encoded(b"%PDF-1.4 words")}, "file_data"),
        ({"file_data": encoded(b"\xff\xfe")}, "file_data"),
        ({"file_data": "not base64"}, "file_data"),
        ({"file_id": "f1"}, "file_id"),
        ({}, "file_id"),
    ],
)
def test_a_file_that_is_no_text(fields: Json, param: str) -> None:
    """Is refused by its place, with what to send instead: engines would say that they do not know the part."""
    with pytest.raises(InvalidRequest, match="as images") as raised:
        fit_parts(chat(HI, file(**fields)))
    assert f"messages[1].content[1].file.{param}" == raised.value.param


def test_a_file_that_is_no_object() -> None:
    """Is named."""
    with pytest.raises(InvalidRequest) as raised:
        fit_parts(chat({"role": "user", "content": [{"type": "file", "file": "a.py"}]}))
    assert "messages[0].content[0].file" == raised.value.param


@pytest.mark.parametrize(
    "said",
    [
        {"content": [{"type": "refusal", "refusal": "No."}]},
        {"content": [{"type": "text", "text": "No."}], "refusal": "No."},
    ],
)
def test_a_refusal_among_parts(said: Json) -> None:
    """Is what the model said."""
    message = fitted(HI, {"role": "assistant", **said}, HI)[1]
    assert {"role": "assistant", "content": [{"type": "text", "text": "No."}]} == message


def test_a_refusal_beside_no_content() -> None:
    """Is what the model said, as OpenAI's SDK sends back what it got."""
    assert {"role": "assistant", "content": "No."} == fitted(
        HI, {"role": "assistant", "content": None, "refusal": "No."}, HI
    )[1]


def test_sound_of_a_former_answer() -> None:
    """Is not kept anywhere: the conversation goes on without it."""
    assert {"role": "assistant", "content": ""} == fitted(HI, {"role": "assistant", "audio": {"id": "audio_1"}}, HI)[1]


def test_a_request_without_them() -> None:
    """Keeps its bytes, also where its tools have such words."""
    call = chat(HI, {"role": "assistant", "content": "a", "refusal": None, "audio": None}, HI, tools=[{"file": "file"}])
    assert fit_parts(call) is call
