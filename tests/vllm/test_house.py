"""The official OpenAI SDK against real vLLM behind Ray Serve and the router, as a user starts them."""

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import openai
import pytest
from engine_metrics import engine_metric
from house import House, open_house
from house_files import Json, free_port, model, router, serve_file
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from vllm_on_cpu import ADAPTER_WRITER, INTERPRETER, SETTINGS
from waiting import eventually

MODEL, ADAPTED = "smollm2", "smollm2-odd"
FRANCE: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
PROMPT = "One, two, three,"
MAX_MODEL_LEN = 512

MARKS = {"prefix": "<repo_name>", "suffix": "<reponame>", "middle": "<file_sep>"}
"""Tokens of the model's that stand for marks: it was trained with none."""

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "celsius": {"type": "boolean"}},
            "required": ["city", "celsius"],
            "additionalProperties": False,
        },
    },
}


def house_file(port: int, adapter: Path) -> Json:
    """One engine, whose LoRA adapter is a model of its own."""
    settings = {**SETTINGS, "max_num_seqs": 4, "tool_call_parser": "hermes", "max_lora_rank": 8}
    house_router = router(port, {MODEL: ["default"]})
    models = house_router["deployments"][0]["user_config"]["models"]
    models[ADAPTED] = {"application": MODEL, "adapter": ADAPTED, "fim": {"marks": MARKS}}
    return serve_file(house_router, [model(MODEL, **settings, lora_adapters={ADAPTED: str(adapter)})])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    adapter = tmp_path_factory.mktemp("adapters") / "odd"
    subprocess.run([INTERPRETER, ADAPTER_WRITER, adapter], check=True)
    with open_house(house_file(free_port(), adapter), start_deadline_s=350) as house:
        yield house


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    """The SDK as a user sets it up, except that it never tries again."""
    with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as sdk:
        yield sdk


@pytest.fixture
async def async_client(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=house.base_url, api_key="none", max_retries=0) as sdk:
        yield sdk


def test_the_converted_weights_know_what_the_model_knows(client: openai.OpenAI) -> None:
    """Weights or tokens that were converted wrongly give no sentence at all."""
    answer = client.chat.completions.create(model=MODEL, messages=FRANCE, max_tokens=16, temperature=0)

    assert ("The capital of France is Paris.", "stop") == (
        answer.choices[0].message.content,
        answer.choices[0].finish_reason,
    )


def test_a_chat_has_its_usage(client: openai.OpenAI) -> None:
    """Prompt and completion are counted."""
    usage = client.chat.completions.create(model="default", messages=FRANCE, max_tokens=4, temperature=0).usage

    assert usage is not None
    assert (37, 4, 41) == (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


def test_a_streamed_chat_says_what_the_whole_one_says(client: openai.OpenAI) -> None:
    """The same text in pieces, then why it ends, then the usage."""
    *chunks, last = client.chat.completions.create(
        model=MODEL, messages=FRANCE, max_tokens=16, temperature=0, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    assert ("The capital of France is Paris.", "stop") == (text, chunks[-1].choices[0].finish_reason)
    assert last.usage is not None
    assert 8 == last.usage.completion_tokens


def test_a_streamed_completion_says_what_the_whole_one_says(client: openai.OpenAI) -> None:
    """Completions, whole and streamed."""
    whole = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=8, temperature=0)
    stream = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=8, temperature=0, stream=True)

    assert (whole.choices[0].text, "length") == (
        "".join(chunk.choices[0].text for chunk in stream),
        whole.choices[0].finish_reason,
    )


def test_a_stop_string_ends_the_answer_before_it(client: openai.OpenAI) -> None:
    """The stop string itself is not in the answer."""
    answer = client.chat.completions.create(model=MODEL, messages=FRANCE, max_tokens=16, temperature=0, stop=" France")

    assert ("The capital of", "stop") == (answer.choices[0].message.content, answer.choices[0].finish_reason)


def test_a_model_that_hears_nothing(client: openai.OpenAI) -> None:
    """Says so, by vLLM's own answer to an empty form at the engine's start."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model=MODEL, file=("a.wav", b"RIFF"))

    assert ("model_does_not_support", "model", "router") == (
        caught.value.code, caught.value.param, caught.value.response.headers["x-enginehouse-error-source"],
    )  # fmt: skip


def test_a_seed_gives_the_same_answer_again(client: openai.OpenAI) -> None:
    """At a temperature at which other seeds give other answers."""

    def answer(seed: int) -> str:
        created = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=16, temperature=1.5, seed=seed)
        return created.choices[0].text

    first = answer(1)
    assert first == answer(1)
    assert {first} != {answer(seed) for seed in (2, 3)}


def test_two_choices(client: openai.OpenAI) -> None:
    """`n=2` gives two answers."""
    answer = client.chat.completions.create(model=MODEL, messages=FRANCE, max_tokens=2, n=2)

    assert [0, 1] == sorted(choice.index for choice in answer.choices)


def test_each_token_has_its_probability(client: openai.OpenAI) -> None:
    """As many alternatives as were asked for come with it."""
    answer = client.chat.completions.create(
        model=MODEL, messages=FRANCE, max_tokens=3, temperature=0, logprobs=True, top_logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None

    assert [("The", 2), (" capital", 2), (" of", 2)] == [
        (token.token, len(token.top_logprobs)) for token in logprobs.content
    ]


def test_a_schema_holds(client: openai.OpenAI) -> None:
    """An answer with a schema is JSON of that schema."""
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"sure": {"type": "boolean"}},
        "required": ["sure"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=MODEL, messages=FRANCE, max_tokens=100, temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}},
    )  # fmt: skip
    document = json.loads(answer.choices[0].message.content or "")

    assert [("sure", bool)] == [(name, type(value)) for name, value in document.items()]


def test_a_forced_tool_is_called(client: openai.OpenAI) -> None:
    """Even the smallest model calls a tool that was asked for by name, with arguments of its schema."""
    answer = client.chat.completions.create(
        model=MODEL, messages=FRANCE, max_tokens=100, temperature=0, tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )  # fmt: skip
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    arguments = json.loads(call.function.arguments)

    assert ("get_weather", {"city": str, "celsius": bool}) == (
        call.function.name,
        {name: type(value) for name, value in arguments.items()},
    )


def test_a_forced_tool_is_called_in_a_stream(client: openai.OpenAI) -> None:
    """Its name comes once, its arguments in pieces that make one JSON object."""
    stream = client.chat.completions.create(
        model=MODEL, messages=FRANCE, max_tokens=100, temperature=0, tools=[WEATHER], stream=True,
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )  # fmt: skip
    pieces = [call for chunk in stream for call in chunk.choices[0].delta.tool_calls or []]
    functions = [piece.function for piece in pieces if piece.function is not None]

    assert ["get_weather"] == [function.name for function in functions if function.name]
    assert {"city", "celsius"} == set(json.loads("".join(function.arguments or "" for function in functions)))


def test_a_model_is_listed_with_its_context(client: openai.OpenAI) -> None:
    """The context is what the settings say, and not what vLLM would take."""
    cards = {card.id: card.to_dict()["max_model_len"] for card in client.models.list()}

    assert {MODEL: MAX_MODEL_LEN, ADAPTED: MAX_MODEL_LEN, "default": MAX_MODEL_LEN} == cards


def test_an_adapter_is_a_model_of_its_own(client: openai.OpenAI) -> None:
    """Its answers are its own, under its own name, beside the base model's."""

    def answer(name: str) -> tuple[str, str | None]:
        created = client.chat.completions.create(model=name, messages=FRANCE, max_tokens=16, temperature=0)
        return created.model, created.choices[0].message.content

    adapted = answer(ADAPTED)
    assert (ADAPTED, answer(ADAPTED)) == (adapted[0], adapted)
    assert "Paris" not in (adapted[1] or "")
    assert (MODEL, "The capital of France is Paris.") == answer(MODEL)


def test_a_suffix_is_refused_by_its_name(client: openai.OpenAI) -> None:
    """vLLM's tokeniser was asked at the start, and knows no marks."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model=MODEL, prompt="def f(", suffix="): pass", max_tokens=1)

    assert ("suffix", "unsupported_parameter") == (refused.value.param, refused.value.code)


def test_a_suffix_is_filled_in_by_marks_of_the_settings(client: openai.OpenAI) -> None:
    """vLLM itself refuses every `suffix`; it gets one prompt."""
    made = "<repo_name>def f(<reponame>): pass<file_sep>"
    filled = client.completions.create(model=ADAPTED, prompt="def f(", suffix="): pass", max_tokens=4, temperature=0)
    plain = client.completions.create(model=ADAPTED, prompt=made, max_tokens=4, temperature=0)

    assert filled.usage is not None
    assert (plain.choices[0].text, plain.usage) == (filled.choices[0].text, filled.usage)


def test_a_developer_is_the_system_to_a_template_that_shows_any_role(client: openai.OpenAI) -> None:
    """Both have the same prompt, by vLLM's count."""
    counts = [
        client.chat.completions.create(model=MODEL, messages=[first, *FRANCE], max_tokens=1).usage
        for first in (DEVELOPER, SYSTEM)
    ]
    assert counts[0] == counts[1]


DEVELOPER: ChatCompletionMessageParam = {"role": "developer", "content": "Be brief."}
SYSTEM: ChatCompletionMessageParam = {"role": "system", "content": "Be brief."}


def test_a_prompt_over_the_context_is_refused(client: openai.OpenAI) -> None:
    """With the code at which clients compact their conversation."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 2000}])

    assert "context_length_exceeded" == refused.value.code


async def test_a_client_that_leaves_frees_the_engine(house: House, async_client: openai.AsyncOpenAI) -> None:
    """By vLLM's own account nothing runs soon after the client is gone, long before all tokens were generated."""
    [engine] = house.engines(MODEL)
    stream = await async_client.completions.create(
        model=MODEL, prompt=PROMPT, max_tokens=480, stream=True, extra_body={"ignore_eos": True}
    )
    await anext(aiter(stream))
    await eventually("it tells of the request", lambda: engine_metric(engine, "vllm:num_requests_running") == 1)
    before = engine_metric(engine, "vllm:generation_tokens_total")
    await stream.close()
    await eventually("the engine is idle", lambda: engine_metric(engine, "vllm:num_requests_running") == 0)

    assert engine_metric(engine, "vllm:generation_tokens_total") - before < 470
