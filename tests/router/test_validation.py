"""router.validation: types and ranges, before anything is spent."""

import pytest
from wire import CHAT, COMPLETION, EMBEDDING, RERANK

from router.errors import InvalidRequest
from router.validation import ROLES, check_chat, check_completion, check_embedding, check_rerank, requested_model

USER = {"role": "user", "content": "hi"}
PART = {"type": "text", "text": "hi"}


def fault_in_chat(**fields: object) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as invalid:
        check_chat({**CHAT, **fields})
    return invalid.value.param, invalid.value.message


def fault_in_completion(**fields: object) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as invalid:
        check_completion({**COMPLETION, **fields})
    return invalid.value.param, invalid.value.message


COMMON_FAULTS: list[tuple[str, object]] = [
    ("stream", "true"), ("stream", 1), ("stream_options", []), ("max_tokens", 0), ("max_tokens", -1),
    ("max_tokens", 1.5), ("max_tokens", "9"), ("max_tokens", True), ("max_tokens", 2**31), ("n", 0), ("n", 129),
    ("temperature", -0.1), ("temperature", 2.1), ("temperature", "hot"), ("temperature", True), ("top_p", 1.01),
    ("top_p", -0.1), ("presence_penalty", 2.5), ("frequency_penalty", -2.5), ("seed", 1.5), ("seed", False),
    ("stop", 1), ("stop", ["a", 1]), ("logit_bias", []), ("user", 7),
]  # fmt: skip
CHAT_FAULTS: list[tuple[str, object]] = [
    ("max_completion_tokens", 0), ("tools", {}), ("response_format", "json"), ("logprobs", 1), ("top_logprobs", 21),
    ("parallel_tool_calls", "no"), ("tool_choice", "banana"), ("tool_choice", 7), ("tool_choice", ["auto"]),
]  # fmt: skip
COMPLETION_FAULTS: list[tuple[str, object]] = [
    ("suffix", 1), ("echo", "yes"), ("best_of", 0), ("logprobs", True), ("logprobs", 21), ("prompt", 7), ("prompt", {}),
    ("prompt", []), ("prompt", ["a", 1]), ("prompt", [1, "a"]), ("prompt", [1, True]), ("prompt", [[1], "a"]),
    ("prompt", [["a"]]), ("prompt", [1.5]), ("prompt", [-1]), ("prompt", [2**31]), ("prompt", [[1], [2**40]]),
]  # fmt: skip
COMMON_FINE: list[tuple[str, object]] = [
    ("stream", True), ("stream", None), ("stream_options", {"include_usage": True}), ("max_tokens", 1),
    ("max_tokens", 2**31 - 1), ("max_tokens", None), ("n", 128), ("temperature", 0), ("temperature", 2.0),
    ("top_p", 0), ("top_p", 1), ("presence_penalty", -2), ("seed", -5), ("stop", "a"), ("stop", []),
    ("stop", ["a", "b"]), ("logit_bias", {"1": -100}), ("user", ""), ("top_k", "whatever only some engines know"),
]  # fmt: skip
CHAT_FINE: list[tuple[str, object]] = [
    ("max_completion_tokens", 5), ("tools", []), ("response_format", {"type": "json_object"}), ("logprobs", True),
    ("response_format", {"type": "json_schema", "json_schema": {"schema": {}}}),
    ("response_format", {"type": "of one engine"}),
    ("top_logprobs", 0), ("tool_choice", "required"), ("tool_choice", {"type": "allowed_tools"}), ("tool_choice", None),
    ("best_of", "not a chat's field"),
]  # fmt: skip
COMPLETION_FINE: list[tuple[str, object]] = [
    ("prompt", ""), ("prompt", ["a", "b"]), ("prompt", [1, 2]), ("prompt", [[1], [2, 3]]), ("prompt", [[]]),
    ("prompt", [2**31 - 1]),
    ("logprobs", 0), ("suffix", "b"), ("echo", True), ("tools", "not a completion's field"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), COMMON_FAULTS + CHAT_FAULTS)
def test_a_fault_in_a_chat_is_named(field: str, value: object) -> None:
    """`param` is the field, and the message says what it must be."""
    param, message = fault_in_chat(**{field: value})
    assert field == param
    assert message.startswith(f"`{field}` must be ")


@pytest.mark.parametrize(("field", "value"), COMMON_FAULTS + COMPLETION_FAULTS)
def test_a_fault_in_a_completion_is_named(field: str, value: object) -> None:
    """`param` is the field, and the message says what it must be."""
    param, message = fault_in_completion(**{field: value})
    assert field == param
    assert message.startswith(f"`{field}` must be ")


@pytest.mark.parametrize(("field", "value"), COMMON_FINE + CHAT_FINE)
def test_a_good_chat_passes(field: str, value: object) -> None:
    """Null is as good as missing, and unknown fields are the engine's."""
    check_chat({**CHAT, field: value})


@pytest.mark.parametrize(("field", "value"), COMMON_FINE + COMPLETION_FINE)
def test_a_good_completion_passes(field: str, value: object) -> None:
    """Null is as good as missing, and unknown fields are the engine's."""
    check_completion({**COMPLETION, field: value})


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("hi", "messages"),
        ({}, "messages"),
        (["hi"], "messages[0]"),
        ([USER, 7], "messages[1]"),
        ([{"content": "hi"}], "messages[0].role"),
        ([{"role": "", "content": "hi"}], "messages[0].role"),
        ([{"role": ["user"], "content": "hi"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "tool", "content": None}], "messages[0].content"),
        ([{"role": "wizard", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
        ([{"role": "user", "content": {"type": "text"}}], "messages[0].content"),
        ([{"role": "user", "content": ["hi"]}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url"}, {"type": "text"}]}], "messages[0].content[1].text"),
        ([{"role": "user", "content": [{"type": "text", "text": None}]}], "messages[0].content[0].text"),
        ([USER, {"role": "assistant", "tool_calls": "x"}], "messages[1].tool_calls"),
        ([USER, {"role": "assistant", "tool_calls": [None]}], "messages[1].tool_calls"),
        ([USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}], "messages[1].tool_calls[0].function"),
        (
            [USER, {"role": "assistant", "tool_calls": [{"type": ["a"], "function": {}}]}],
            "messages[1].tool_calls[0].function.name",
        ),
    ],
)
def test_a_fault_in_the_messages_says_where(messages: object, param: str) -> None:
    """`param` leads to the message and to its field."""
    assert param == fault_in_chat(messages=messages)[0]


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({}, "response_format.type"),
        ({"type": ["text"]}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": []}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"schema": "a"}}, "response_format.json_schema.schema"),
    ],
)
def test_a_format_that_demands_nothing(wanted: object, param: str) -> None:
    """Is told before an engine could pass over it, and the place is named."""
    assert param == fault_in_chat(response_format=wanted)[0]


@pytest.mark.parametrize("role", sorted(ROLES))
def test_every_role_may_speak(role: str) -> None:
    """With text, and with parts."""
    check_chat({**CHAT, "messages": [{"role": role, "content": "hi"}, {"role": role, "content": [PART]}]})


def test_an_assistant_may_have_only_tool_calls() -> None:
    """Clients send back what the model said: no content where it called a tool."""
    check_chat({**CHAT, "messages": [USER, {"role": "assistant", "content": None, "tool_calls": []}]})


def test_past_calls_of_tools_may_be_of_any_kind() -> None:
    """What engines make of another kind than functions is theirs."""
    calls = [
        {"id": "c", "type": "custom", "custom": {"name": "p", "input": "x"}},
        {"id": "d", "function": {"name": "f"}},
    ]
    check_chat({**CHAT, "messages": [USER, {"role": "assistant", "content": None, "tool_calls": calls}]})


def test_a_completion_needs_a_prompt() -> None:
    """Missing or null, it is said to be missing."""
    assert ("prompt", "`prompt` is missing.") == fault_in_completion(prompt=None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "`model` is missing."),
        ({"model": None}, "`model` is missing."),
        ({"model": ""}, "`model` must be a string that names a model."),
        ({"model": ["m"]}, "`model` must be a string that names a model."),
    ],
)
def test_a_request_needs_a_model(body: dict[str, object], message: str) -> None:
    """Missing and wrong are told apart."""
    with pytest.raises(InvalidRequest) as invalid:
        requested_model(body)
    assert ("model", message) == (invalid.value.param, invalid.value.message)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", None), ("input", ""), ("input", []), ("input", 7), ("input", {}), ("input", ["a", 1]),
        ("input", [[]]), ("input", [[1], []]), ("input", [1, "a"]), ("input", [1.5]), ("encoding_format", "int8"),
        ("encoding_format", ["float"]), ("dimensions", 0), ("dimensions", "9"), ("user", 7),
    ],
)  # fmt: skip
def test_a_fault_in_an_embedding_request_is_named(field: str, value: object) -> None:
    """`param` is the field; nothing that has no vector is accepted."""
    with pytest.raises(InvalidRequest) as invalid:
        check_embedding({**EMBEDDING, field: value})
    assert field == invalid.value.param


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", "a"), ("input", ["a", "b"]), ("input", [1, 2]), ("input", [[1], [2, 3]]),
        ("encoding_format", "float"), ("encoding_format", "base64"), ("encoding_format", None), ("dimensions", 256),
        ("truncate_prompt_tokens", "what only some engines know"),
    ],
)  # fmt: skip
def test_what_is_fine_in_an_embedding_request(field: str, value: object) -> None:
    """Texts and tokens, one or several."""
    check_embedding({**EMBEDDING, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("query", None), ("query", 7), ("documents", None), ("documents", []), ("documents", "a"), ("documents", [7]),
        ("documents", [{"title": "a"}]), ("top_n", 0), ("return_documents", "yes"),
    ],
)  # fmt: skip
def test_a_fault_in_a_rerank_request_is_named(field: str, value: object) -> None:
    """`param` is the field."""
    with pytest.raises(InvalidRequest) as invalid:
        check_rerank({**RERANK, field: value})
    assert field == invalid.value.param


def test_documents_may_be_texts_or_objects_with_a_text() -> None:
    """Clients send both."""
    check_rerank({**RERANK, "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": False})


def test_the_model_is_taken_as_it_is() -> None:
    """Whether there is such a model is the table's question."""
    assert "any/thing" == requested_model({"model": "any/thing"})
