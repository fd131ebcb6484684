"""The official OpenAI SDK against llama.cpp behind Ray Serve."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from engine_metrics import engine_metric
from house import House
from openai.types.chat import ChatCompletionMessageParam
from waiting import eventually

MODEL = "smollm2"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]
TOO_LONG: list[ChatCompletionMessageParam] = [{"role": "user", "content": "word " * 2000}]
MAX_MODEL_LEN = 512
NUM_TOKENS = 8
# Of the engine's answers: what is kept is the caching tests' business.
FROM_THE_ENGINE = {"cache-control": "no-store"}


@pytest.fixture
def client(laptop: House) -> Iterator[openai.OpenAI]:
    """The SDK as a user sets it up, except that it never tries again."""
    with openai.OpenAI(base_url=laptop.base_url, api_key="none", max_retries=0, default_headers=FROM_THE_ENGINE) as sdk:
        yield sdk


@pytest.fixture
async def async_client(laptop: House) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=laptop.base_url, api_key="none", max_retries=0, default_headers=FROM_THE_ENGINE
    ) as sdk:
        yield sdk


# chats


def test_chat(client: openai.OpenAI) -> None:
    """A chat is answered whole, with its usage."""
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=NUM_TOKENS, temperature=0)
    assert ("chat.completion", MODEL) == (answer.object, answer.model)
    assert "assistant" == answer.choices[0].message.role
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert NUM_TOKENS == answer.usage.completion_tokens
    assert answer.usage.prompt_tokens + NUM_TOKENS == answer.usage.total_tokens


def test_chat_stream(client: openai.OpenAI) -> None:
    """A streamed chat says token by token what the whole answer says, and why it ends."""
    whole = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=NUM_TOKENS, temperature=0)
    stream = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=NUM_TOKENS, temperature=0, stream=True
    )
    chunks = [chunk.choices[0] for chunk in stream]
    assert whole.choices[0].message.content == "".join(chunk.delta.content or "" for chunk in chunks)
    assert NUM_TOKENS <= len(chunks)
    assert "length" == chunks[-1].finish_reason


def test_alias(client: openai.OpenAI) -> None:
    """A model answers to its alias, under its own name."""
    answer = client.chat.completions.create(model="default", messages=MESSAGES, max_tokens=1)
    assert MODEL == answer.model


def test_stream_without_usage(client: openai.OpenAI) -> None:
    """A streamed chat has no usage unless it was asked for."""
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2, stream=True)
    assert [] == [chunk for chunk in stream if chunk.usage is not None or not chunk.choices]


def test_stream_with_usage(client: openai.OpenAI) -> None:
    """A streamed chat ends with its usage when that was asked for."""
    stream = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        max_tokens=NUM_TOKENS,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    last = list(stream)[-1]
    assert [] == last.choices
    assert last.usage is not None
    assert NUM_TOKENS == last.usage.completion_tokens


def test_stop(client: openai.OpenAI) -> None:
    """A stop string ends the answer before it."""
    free = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=NUM_TOKENS, temperature=0)
    text = free.choices[0].message.content or ""
    word = text.split()[1]
    stopped = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=NUM_TOKENS, temperature=0, stop=word
    )
    assert (text.partition(word)[0], "stop") == (stopped.choices[0].message.content, stopped.choices[0].finish_reason)


def test_seed(client: openai.OpenAI) -> None:
    """The same seed gives the same answer, at a temperature at which another seed gives another."""

    def answer(seed: int) -> str | None:
        created = client.chat.completions.create(
            model=MODEL, messages=MESSAGES, max_tokens=16, temperature=1.5, seed=seed
        )
        return created.choices[0].message.content

    first = answer(1)
    assert first == answer(1)
    assert {first} != {answer(seed) for seed in range(2, 6)}


def test_two_choices(client: openai.OpenAI) -> None:
    """`n=2` gives two answers."""
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=2, n=2)
    assert [0, 1] == sorted(choice.index for choice in answer.choices)


def test_logprobs(client: openai.OpenAI) -> None:
    """Each token comes with its probability, and with as many alternatives as were asked for."""
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=3, temperature=0, logprobs=True, top_logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert [2, 2, 2] == [len(token.top_logprobs) for token in logprobs.content or []]


def test_logprobs_of_a_text(client: openai.OpenAI) -> None:
    """In the form that the SDK reads there, whichever form the engine has, streamed and whole."""
    answer = client.completions.create(model=MODEL, prompt="Hello", max_tokens=3, temperature=0, logprobs=2)
    whole = answer.choices[0].logprobs
    assert whole is not None
    assert "".join(whole.tokens or []) == answer.choices[0].text
    assert {2} == {len(likeliest) for likeliest in whole.top_logprobs or []}
    streamed = client.completions.create(
        model=MODEL, prompt="Hello", max_tokens=3, temperature=0, logprobs=2, stream=True
    )
    parts = [part.choices[0].logprobs for part in streamed if part.choices]
    told = [part for part in parts if part is not None]
    assert whole.tokens == [token for part in told for token in part.tokens or []]
    assert whole.text_offset == [offset for part in told for offset in part.text_offset or []]


def test_json_schema(client: openai.OpenAI) -> None:
    """An answer with a schema is JSON of that schema."""
    schema = {
        "type": "object",
        "properties": {"sure": {"type": "boolean"}},
        "required": ["sure"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=100, temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": schema}},
    )  # fmt: skip
    document = json.loads(answer.choices[0].message.content or "")
    assert [("sure", bool)] == [(name, type(value)) for name, value in document.items()]


# completions


def test_completion(client: openai.OpenAI) -> None:
    """A completion is answered whole, with its usage."""
    answer = client.completions.create(model=MODEL, prompt="One, two,", max_tokens=NUM_TOKENS, temperature=0)
    assert "text_completion" == answer.object
    assert answer.choices[0].text
    assert answer.usage is not None
    assert NUM_TOKENS == answer.usage.completion_tokens


def test_completion_stream(client: openai.OpenAI) -> None:
    """A streamed completion says what the whole one says."""
    whole = client.completions.create(model=MODEL, prompt="One, two,", max_tokens=NUM_TOKENS, temperature=0)
    stream = client.completions.create(
        model=MODEL, prompt="One, two,", max_tokens=NUM_TOKENS, temperature=0, stream=True
    )
    chunks = list(stream)
    assert whole.choices[0].text == "".join(chunk.choices[0].text for chunk in chunks)
    assert [] == [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert ["cmpl-"] * 2 == [answer.id[:5] for answer in (whole, chunks[0])]


def test_completion_stream_with_usage(client: openai.OpenAI) -> None:
    """A streamed completion ends with its usage when that was asked for, as a chat does."""
    stream = client.completions.create(
        model=MODEL,
        prompt="One, two,",
        max_tokens=NUM_TOKENS,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    last = list(stream)[-1]
    assert [] == last.choices
    assert last.usage is not None
    assert NUM_TOKENS == last.usage.completion_tokens


# models


def test_models(client: openai.OpenAI) -> None:
    """Models and aliases are listed with the length of their context."""
    cards = {card.id: card.to_dict()["max_model_len"] for card in client.models.list()}
    assert {MODEL: MAX_MODEL_LEN, "default": MAX_MODEL_LEN, "twins": 256} == cards


def test_model(client: openai.OpenAI) -> None:
    """One model can be asked for, by its alias too, and an unknown one is not found."""
    assert ("default", MODEL) == (
        (card := client.models.retrieve("default")).id,
        card.to_dict()["root"],
    )
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("gpt-5")
    assert "model_not_found" == unknown.value.code


# limits


def test_context_overflow(client: openai.OpenAI) -> None:
    """A prompt that does not fit is refused with the code that clients compact their conversation at."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=TOO_LONG)
    assert ("context_length_exceeded", "messages") == (refused.value.code, refused.value.param)


def test_context_overflow_of_a_stream(client: openai.OpenAI) -> None:
    """A stream whose prompt does not fit is refused as any other request is."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=TOO_LONG, stream=True)
    assert "context_length_exceeded" == refused.value.code


def test_more_tokens_than_the_context_has(client: openai.OpenAI) -> None:
    """`max_tokens` far above the context is lowered to what is left of it, and does not fail."""
    answer = client.completions.create(
        model=MODEL, prompt="word " * 500, max_tokens=1_000_000, logit_bias={"0": -100, "2": -100}
    )
    assert answer.usage is not None
    assert MAX_MODEL_LEN >= answer.usage.total_tokens


# names


def test_request_id(client: openai.OpenAI) -> None:
    """An answer has a request id, the client's own where it sent one."""
    ask = client.chat.completions.create
    own = ask(model=MODEL, messages=MESSAGES, max_tokens=1, extra_headers={"x-request-id": "trace-42"})
    assert "trace-42" == own._request_id
    fresh = ask(model=MODEL, messages=MESSAGES, max_tokens=1)._request_id
    assert fresh is not None
    assert fresh.startswith("req-")


def test_request_id_of_an_error(client: openai.OpenAI) -> None:
    """An error can be found in the log by its request id."""
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-5", messages=MESSAGES, extra_headers={"x-request-id": "trace-43"})
    assert "trace-43" == unknown.value.request_id


# many at once


async def test_sixteen_streams_at_once(async_client: openai.AsyncOpenAI) -> None:
    """Sixteen streams on four slots all end whole, each with its own answer."""

    async def answer(number: int) -> tuple[str, str | None]:
        stream = await async_client.completions.create(
            model=MODEL, prompt=f"{number}, {number + 1},", max_tokens=NUM_TOKENS, temperature=0, stream=True
        )
        chunks = [chunk.choices[0] async for chunk in stream]
        return "".join(chunk.text for chunk in chunks), chunks[-1].finish_reason

    answers = await asyncio.gather(*(answer(number) for number in range(16)))
    assert ["length"] * 16 == [reason for _, reason in answers]
    assert 8 < len({text for text, _ in answers})


# leaving


async def test_leaving_frees_the_slot(laptop: House, async_client: openai.AsyncOpenAI) -> None:
    """A client that leaves in mid-stream frees the engine's slot, by the engine's own account."""
    [engine] = laptop.engines(MODEL)
    streams = [
        await async_client.completions.create(
            model=MODEL, prompt="Once upon a time", max_tokens=480, stream=True, logit_bias={"0": -100, "2": -100}
        )
        for _ in range(4)
    ]
    for stream in streams:
        await anext(aiter(stream))
    predicted_before = engine_metric(engine, "llamacpp:tokens_predicted_total")
    assert engine_metric(engine, "llamacpp:requests_processing") >= 1
    for stream in streams:
        await stream.close()
    await eventually("the engine is idle", lambda: engine_metric(engine, "llamacpp:requests_processing") == 0)
    assert engine_metric(engine, "llamacpp:tokens_predicted_total") - predicted_before < 4 * 480
