"""`deployments/engines/tensorrt_llm/requests.py` and `forced_call.py`: what the server is asked."""

from typing import Any

import pytest

from deployments.engines.front.dialect import RequestRefused
from deployments.engines.tensorrt_llm.chat import ChatConversation
from deployments.engines.tensorrt_llm.completion import CompletionConversation

MESSAGES = [{"role": "user", "content": "Hi"}]
TOOL = {
    "type": "function",
    "function": {"name": "f", "strict": True, "parameters": {"type": "object", "properties": {}}},
}


def chat(*, has_tools: bool = True, **fields: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": MESSAGES, **fields}
    return ChatConversation(body, has_tools=has_tools).request


@pytest.mark.parametrize(
    "field",
    [
        {"metadata": {"a": "b"}},
        {"store": False},
        {"service_tier": "auto"},
        {"parallel_tool_calls": False},
        {"prompt_cache_key": "k"},
        {"safety_identifier": "s"},
        {"verbosity": "low"},
        {"modalities": ["text"]},
        {"priority": 1},
        {"request_id": "r"},
        {"zzz_unknown": 1},
        {"temperature": None},
        {"chat_template": "{{ messages }}"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_what_the_server_refuses_and_nobody_misses_is_dropped(field: dict[str, Any]) -> None:
    """Fields that the server does not know, and that change no text, do not reach it; nor do nulls."""
    assert {"model": "m", "messages": MESSAGES} == chat(**field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suffix", "x"),
        ("audio", {"voice": "alloy"}),
        ("functions", [{"name": "f"}]),
        ("guided_json", {"type": "object"}),
        ("structured_outputs", {"json": {}}),
        ("modalities", ["text", "audio"]),
    ],
)
def test_what_would_be_missed_is_refused_by_name(field: str, value: object) -> None:
    """A field that asks for what the server cannot do is an error that names it."""
    with pytest.raises(RequestRefused) as caught:
        chat(**{field: value})

    assert field == caught.value.param


def test_several_greedy_choices_are_refused() -> None:
    """The server has one choice at temperature 0."""
    with pytest.raises(RequestRefused) as caught:
        chat(n=2, temperature=0)

    assert "n" == caught.value.param


@pytest.mark.parametrize(
    "limits",
    [{"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_tokens": 9, "max_completion_tokens": 5}],
)
def test_one_name_of_the_limit_is_sent(limits: dict[str, int]) -> None:
    """Both names at once are refused by the server; the newer one counts."""
    assert {"model": "m", "messages": MESSAGES, "max_completion_tokens": 5} == chat(**limits)


@pytest.mark.parametrize(("given", "sent"), [("minimal", "low"), ("none", "low"), ("high", "high")])
def test_efforts_that_the_server_lacks_become_the_nearest(given: str, sent: str) -> None:
    """It knows low, medium and high."""
    assert sent == chat(reasoning_effort=given)["reasoning_effort"]


def test_a_schema_is_taken_out_of_its_wrapper() -> None:
    """The server would hold the answer to the wrapper, and so to nothing."""
    schema = {"type": "object"}
    wrapper = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}

    assert {"type": "json", "schema": schema} == chat(response_format=wrapper)["response_format"]


def test_a_wrapper_without_schema_is_refused() -> None:
    """It would otherwise be silently ignored."""
    with pytest.raises(RequestRefused) as caught:
        chat(response_format={"type": "json_schema", "json_schema": {"name": "n"}})

    assert "response_format" == caught.value.param


def test_tools_lose_strict_and_are_offered() -> None:
    """`strict` is refused by the server, and its default for tool_choice is none."""
    request = chat(tools=[TOOL])

    assert ({"name": "f", "parameters": TOOL["function"]["parameters"]}, "auto") == (
        request["tools"][0]["function"],
        request["tool_choice"],
    )


def test_tools_without_a_parser_are_refused() -> None:
    """Calls would stay in the text; a clear error is better."""
    with pytest.raises(RequestRefused) as caught:
        chat(tools=[TOOL], has_tools=False)

    assert "tools" == caught.value.param


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_a_demanded_call_becomes_a_schema(choice: object) -> None:
    """The answer is held to the call's form, whether or not there is a parser for tools."""
    request = chat(tools=[TOOL], tool_choice=choice, has_tools=False)

    assert ("auto", "json", ["f"]) == (
        request["tool_choice"],
        request["response_format"]["type"],
        request["response_format"]["schema"]["properties"]["name"]["enum"],
    )


@pytest.mark.parametrize(
    ("tools", "choice"),
    [(None, "required"), ([TOOL], {"type": "function", "function": {"name": "g"}}), ([TOOL], {"type": "function"})],
)
def test_a_demand_that_cannot_be_met_is_refused(tools: object, choice: object) -> None:
    """No tools, no tool of that name, no name."""
    with pytest.raises(RequestRefused) as caught:
        chat(tools=tools, tool_choice=choice)

    assert "tool_choice" == caught.value.param


def test_top_logprobs_go_with_logprobs_only() -> None:
    """Alone they are refused by the server."""
    assert {"model": "m", "messages": MESSAGES} == chat(top_logprobs=2)


def test_stream_options_go_with_a_stream_only() -> None:
    """Outside a stream they are refused by the server, and so are options that it does not know."""
    options = {"include_usage": True, "include_obfuscation": False}

    assert (None, {"include_usage": True}) == (
        chat(stream_options=options).get("stream_options"),
        chat(stream=True, stream_options=options)["stream_options"],
    )


def test_a_text_completion_has_openais_limit() -> None:
    """Without max_tokens OpenAI gives 16 tokens, the server the whole context."""
    assert 16 == CompletionConversation({"model": "m", "prompt": "a"}).request["max_tokens"]
