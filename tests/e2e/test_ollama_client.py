"""Ollama's own client against a whole house on llama.cpp, and what the house says of its model."""

from collections.abc import Iterator

import ollama
import openai
import pytest
from house import House

pytestmark = pytest.mark.houses

MODEL = "smollm2"
SAID = [{"role": "user", "content": "Say hello."}]
OPTIONS = {"num_predict": 8, "temperature": 0}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
# Of the engine's answers: what is kept is the caching tests' business.
FROM_THE_ENGINE = {"cache-control": "no-store"}


@pytest.fixture
def client(laptop: House) -> Iterator[ollama.Client]:
    with ollama.Client(host=laptop.base_url.removesuffix("/v1"), headers=FROM_THE_ENGINE, timeout=60) as opened:
        yield opened


def test_a_chat_its_stream_and_a_prompt(client: ollama.Client) -> None:
    """Say the same, are as long as they may be, and count alike."""
    whole = client.chat(model=MODEL, messages=SAID, options=OPTIONS)
    parts = [*client.chat(model=f"{MODEL}:latest", messages=SAID, options=OPTIONS, stream=True)]
    generated = client.generate(model=MODEL, prompt="Say hello.", options=OPTIONS)
    assert whole.message.content
    assert whole.message.content == "".join(part.message.content or "" for part in parts) == generated.response
    for one in (whole, parts[-1], generated):
        assert (True, "length", 8) == (one.done, one.done_reason, one.eval_count)
        assert whole.prompt_eval_count == one.prompt_eval_count


def test_a_raw_prompt(client: ollama.Client) -> None:
    """Is continued as it is, without the chat's template; its stream says the same."""
    answer = client.generate(model=MODEL, prompt="One, two, three, four,", raw=True, options=OPTIONS)
    asked = client.generate(model=MODEL, prompt="One, two, three, four,", raw=True, options=OPTIONS, stream=True)
    parts = [*asked]
    assert "five" in (answer.response or "")
    assert answer.response == "".join(part.response or "" for part in parts)
    assert (8, answer.prompt_eval_count) == (parts[-1].eval_count, parts[-1].prompt_eval_count)


def test_an_answer_with_a_schema(client: ollama.Client) -> None:
    """Follows it."""
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    answer = client.chat(model=MODEL, messages=SAID, format=schema, options={"temperature": 0, "num_predict": 40})
    assert (answer.message.content or "").replace(" ", "").replace("\n", "") in ('{"sure":true}', '{"sure":false}')


def test_what_the_model_is(client: ollama.Client) -> None:
    """As its file, its template and its engine say: it calls no tools, and its context is what the engine was given."""
    assert MODEL in [model.model for model in client.list().models]
    assert 512 in [model.context_length for model in client.ps().models]
    shown = client.show(MODEL)
    assert ["completion"] == shown.capabilities
    info = {"general.architecture": "llama", "general.basename": MODEL, "general.parameter_count": 134_515_008}
    assert {**info, "llama.context_length": 512} == shown.modelinfo


def test_tools_that_the_model_cannot_call(laptop: House, client: ollama.Client) -> None:
    """Are refused where Ollama's clients expect that, or a call is demanded; else the answer is in words."""
    with pytest.raises(ollama.ResponseError, match="does not support tools"):
        client.chat(model=MODEL, messages=SAID, tools=[LOOK])
    with openai.OpenAI(base_url=laptop.base_url, api_key="none", max_retries=0) as openais:
        asked = {"model": MODEL, "messages": SAID, "tools": [LOOK], "max_tokens": 4, "temperature": 0}
        allowed = openais.chat.completions.with_raw_response.create(**asked)  # type: ignore[call-overload]
        with pytest.raises(openai.BadRequestError) as refused:
            openais.chat.completions.create(**asked, tool_choice="required")  # type: ignore[call-overload]
        [card] = [one for one in openais.models.list() if one.id == MODEL]
    assert ("tools", True) == (
        allowed.headers["x-enginehouse-ignored"], bool(allowed.parse().choices[0].message.content),
    )  # fmt: skip
    assert ("model_does_not_support", "tool_choice") == (refused.value.code, refused.value.param)
    extra = card.model_extra or {}
    assert ["chat", "completion", "structured_output"] == extra["capabilities"]
    assert (512, 512) == (extra["context_length"], extra["max_output_tokens"])


def test_a_model_that_cannot_fill_in(client: ollama.Client) -> None:
    """Takes no suffix, which its capabilities say too."""
    with pytest.raises(ollama.ResponseError, match="`suffix`") as raised:
        client.generate(model=MODEL, prompt="def f(", suffix="\n")
    assert 400 == raised.value.status_code


def test_a_prompt_that_does_not_fit(client: ollama.Client) -> None:
    """Is refused in the engine's words."""
    with pytest.raises(ollama.ResponseError, match="context") as raised:
        client.generate(model=MODEL, prompt="word " * 3000)
    assert 400 == raised.value.status_code
