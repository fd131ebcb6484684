"""router.wire_apis.ollama: what becomes of each field of a request, and which mistake is told of which field."""

import base64
import contextlib
import itertools
from collections.abc import Callable

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from configs.router import ModelRoute, RouterUserConfig
from router.errors import InvalidRequest
from router.models.table import ModelTable
from router.validation import check_chat
from router.wire_apis.ollama.errors import ERRORS
from router.wire_apis.ollama.messages import chat_messages
from router.wire_apis.ollama.names import known_name
from router.wire_apis.ollama.options import OPTIONS, completion_fields
from router.wire_apis.ollama.requests import (
    Question,
    read_chat,
    read_embed,
    read_embeddings,
    read_generate,
)

SAID = [{"role": "user", "content": "hi"}]
Read = Callable[[bytes], Question]


def read(reader: Read, **fields: object) -> Question:
    return reader(orjson.dumps({"model": "m", **fields}))


def image(head: bytes) -> str:
    return base64.b64encode(head + bytes(40)).decode()


@pytest.mark.parametrize(("num_others", "expected"), [(None, 0), (0, 0), (2, 2)])
def test_logprobs_of_a_text(num_others: int | None, expected: int) -> None:
    """Are asked for with a number there."""
    asked = read(read_generate, prompt="a", raw=True, logprobs=True, top_logprobs=num_others)
    assert (expected, False) == (asked.body["logprobs"], "top_logprobs" in asked.body)


@pytest.mark.parametrize(
    ("name", "value"), [("logprobs", 1), ("top_logprobs", 21), ("top_logprobs", True), ("top_logprobs", "2")]
)
def test_logprobs_of_a_wrong_kind(name: str, value: object) -> None:
    """Are refused by name."""
    with pytest.raises(InvalidRequest) as invalid:
        read(read_chat, messages=SAID, **{name: value})
    assert name == invalid.value.param


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"stream": False}, {"stream": False}),
        ({"stream": True, "keep_alive": "10m", "truncate": True}, {}),
        ({"options": {"num_predict": -1, "num_ctx": 4096, "mirostat": 2, "stop": []}}, {}),
        ({"options": {"num_predict": 5, "stop": "x"}}, {"max_tokens": 5, "stop": "x"}),
        ({"options": {"presence_penalty": 1, "min_p": 0.1}}, {"presence_penalty": 1, "min_p": 0.1}),
        ({"options": None, "format": "", "tools": [], "think": None}, {}),
        ({"think": False}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"think": "low"}, {"reasoning_effort": "low"}),
        ({"logprobs": True}, {"logprobs": True}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"logprobs": False, "top_logprobs": 3}, {}),
    ],
)
def test_fields_of_a_chat(fields: dict[str, object], expected: dict[str, object]) -> None:
    """What is asked of the engine beside the messages."""
    assert {"model": "m", "stream": True, "messages": SAID, **expected} == read(read_chat, messages=SAID, **fields).body


@pytest.mark.parametrize(
    ("reader", "fields", "param"),
    [
        (read_chat, {"messages": "hi"}, "messages"),
        (read_chat, {"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        (read_chat, {"messages": [{"role": "", "content": "a"}]}, "messages[0].role"),
        (read_chat, {"messages": [{"role": "user", "images": ["%"]}]}, "messages[0].images[0]"),
        (read_chat, {"messages": [{"role": "user", "images": [image(b"%PDF")]}]}, "messages[0].images[0]"),
        (read_chat, {"messages": [{"role": "user", "images": "a"}]}, "messages[0].images"),
        (read_chat, {"messages": [{"role": "user", "content": ""}]}, "messages"),
        (
            read_chat,
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        (read_chat, {"messages": SAID, "tools": [{"type": "function"}]}, "tools[0].function"),
        (read_chat, {"messages": SAID, "tools": [{"function": {}}]}, "tools[0].function.name"),
        (read_chat, {"messages": SAID, "stream": "yes"}, "stream"),
        (read_chat, {"messages": SAID, "format": "xml"}, "format"),
        (read_chat, {"messages": SAID, "think": "a lot"}, "think"),
        (read_chat, {"messages": SAID, "options": []}, "options"),
        (read_chat, {"messages": SAID, "options": {"temperature": "hot"}}, "options.temperature"),
        (read_chat, {"messages": SAID, "options": {"temperature": 3}}, "options.temperature"),
        (read_chat, {"messages": SAID, "options": {"num_predict": 1.5}}, "options.num_predict"),
        (read_chat, {"messages": SAID, "options": {"stop": [1]}}, "options.stop"),
        (read_chat, {"model": "", "messages": SAID}, "model"),
        (read_chat, {"model": None, "messages": SAID}, "model"),
        (read_generate, {"prompt": 1}, "prompt"),
        (read_generate, {"prompt": "a", "template": "{{ .Prompt }}"}, "template"),
        (read_generate, {"prompt": "a", "context": [1, 2]}, "context"),
        (read_generate, {"prompt": "a", "raw": True, "images": [image(b"\x89PNG")]}, "images"),
        (read_embed, {"input": 1}, "input"),
        (read_embed, {"input": ["a", 1]}, "input"),
        (read_embeddings, {"prompt": ["a"]}, "prompt"),
    ],
)
def test_mistakes(reader: Read, fields: dict[str, object], param: str) -> None:
    """Each is told of the field where it is, in the words that the client gets."""
    with pytest.raises(InvalidRequest) as raised:
        read(reader, **fields)
    assert param == raised.value.param
    assert f"`{param}`" in orjson.loads(ERRORS.body(raised.value, "r"))["error"]


def test_arguments_nested_too_deeply() -> None:
    """Are the client's mistake: they can be read, but not written."""
    asked = orjson.dumps({"model": "m", "messages": [{"role": "assistant", "tool_calls": [
        {"function": {"name": "f", "arguments": {"a": "DEEP"}}},
    ]}]})  # fmt: skip
    with pytest.raises(InvalidRequest):
        read_chat(asked.replace(b'"DEEP"', b"[" * 300 + b"]" * 300))


def test_an_engines_words() -> None:
    """Get the name of the field at fault, as it is called here, where they do not have it."""
    error = InvalidRequest("too many", param="max_tokens", from_engine=True)
    assert {"error": "too many (`options.num_predict`)"} == orjson.loads(ERRORS.event(error, "r"))


@pytest.mark.parametrize(
    ("reader", "fields"),
    [
        (read_chat, {}),
        (read_chat, {"messages": []}),
        (read_generate, {}),
        (read_generate, {"prompt": "", "keep_alive": 0}),
        (read_embed, {"input": ""}),
        (read_embeddings, {}),
    ],
)
def test_requests_that_only_load(reader: Read, fields: dict[str, object]) -> None:
    """Say nothing to the model."""
    assert read(reader, **fields).is_load


@pytest.mark.parametrize(
    ("fields", "path", "expected"),
    [
        ({"prompt": "a"}, "/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}),
        ({"prompt": "a", "raw": True}, "/v1/completions", {"prompt": "a"}),
        ({"prompt": "a", "suffix": "b"}, "/v1/completions", {"prompt": "a", "suffix": "b"}),
        ({"suffix": "b"}, "/v1/completions", {"prompt": "", "suffix": "b"}),
        ({"prompt": "a", "suffix": "", "context": []}, "/v1/chat/completions",
         {"messages": [{"role": "user", "content": "a"}]}),
    ],
)  # fmt: skip
def test_what_a_prompt_becomes(fields: dict[str, object], path: str, expected: dict[str, object]) -> None:
    """A chat, or a text completion where the model is to see the text and nothing else."""
    question = read(read_generate, **fields)
    assert (path, {"model": "m", "stream": True, **expected}) == (question.route.path, question.body)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"BM", "image/bmp"),
    ],
)
def test_images(head: bytes, kind: str) -> None:
    """Get the type that their bytes say; a data URL has it already."""
    given = [image(head), f"data:{kind};base64,AAAA"]
    [message] = chat_messages([{"role": "user", "content": "see", "images": given}])
    urls = [part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url"]
    assert [f"data:{kind};base64,{given[0]}", given[1]] == urls


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([{"tool_name": "g"}, {"tool_name": "f"}], ["call_1", "call_0"]),
        ([{}, {}], ["call_0", "call_1"]),
        ([{"name": "g"}, {}], ["call_1", "call_0"]),
        ([{"tool_call_id": "call_1"}, {}], ["call_1", "call_0"]),
    ],
)
def test_which_call_a_result_is_of(results: list[dict[str, str]], expected: list[str]) -> None:
    """By its id or its tool's name, else in the order of the calls."""
    calls = [{"function": {"name": name, "arguments": {}}} for name in ("f", "g")]
    told = [{"role": "tool", "content": "x", **fields} for fields in results]
    messages = chat_messages([*SAID, {"role": "assistant", "content": "", "tool_calls": calls}, *told])
    assert expected == [message["tool_call_id"] for message in messages if message["role"] == "tool"]


def test_what_was_thought() -> None:
    """Is kept within the turn that goes on, and dropped with those before it."""
    thought = {"role": "assistant", "content": "b", "thinking": "hm"}
    messages = chat_messages([*SAID, thought, *SAID, thought])
    assert [None, "hm"] == [message.get("reasoning_content") for message in messages if message["role"] == "assistant"]


@pytest.mark.parametrize(("name", "known"), [("m:latest", "m"), ("m", "m"), ("x:latest", "x:latest"), ("m:7b", "m:7b")])
def test_the_usual_tag(name: str, known: str) -> None:
    """May be left out or added, unless a model has it in its own name."""
    routes = {each: ModelRoute(application=each[0]) for each in ("m", "x:latest")}
    assert known == known_name(name, ModelTable(RouterUserConfig(models=routes)))


_TEXTS = st.text(max_size=8)
_CALLS = st.lists(
    st.fixed_dictionaries({"function": st.fixed_dictionaries({
        "name": st.sampled_from(["f", "g"]), "arguments": st.dictionaries(_TEXTS, st.integers(0, 9), max_size=2),
    })}),
    max_size=2,
)  # fmt: skip
_MESSAGES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": _TEXTS}),
        st.fixed_dictionaries(
            {"role": st.just("assistant"), "content": _TEXTS, "tool_calls": _CALLS}, optional={"thinking": _TEXTS}
        ),
        st.fixed_dictionaries({"role": st.just("tool"), "content": _TEXTS, "tool_name": st.sampled_from(["f", "g"])}),
    ),
    max_size=8,
)


@given(_MESSAGES)
def test_any_conversation(given_messages: list[dict[str, object]]) -> None:
    """Becomes one that every engine takes: checked fields, arguments as text, no neighbours with one role but tools."""
    assume(any(one["content"] or one.get("tool_calls") or one["role"] == "tool" for one in given_messages))
    messages = chat_messages(given_messages)
    check_chat({"messages": messages})
    roles = [message["role"] for message in messages]
    neighbours = itertools.pairwise(roles)
    assert not [pair for pair in neighbours if pair[0] == pair[1] and pair[0] != "tool"]
    ids = [call["id"] for message in messages for call in message.get("tool_calls", ())]
    assert len(ids) == len(set(ids))


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False), _TEXTS, st.lists(_TEXTS, max_size=2)
)


@given(st.dictionaries(st.sampled_from([*OPTIONS]), _VALUES))
def test_any_options(options: dict[str, object]) -> None:
    """Are fields that a chat completion takes, or else a mistake, never fields that it would refuse."""
    fields: dict[str, object] = {}
    with contextlib.suppress(InvalidRequest):
        fields = completion_fields({"options": options})
    check_chat({"messages": SAID, **fields})
