"""The official OpenAI SDK against llama.cpp models that embed and rerank behind Ray Serve."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from house import House
from prometheus_scrape import exported_name, scrape
from waiting import wait_for

from router.metrics import MERGED_INPUTS

TEXTS = ["the cat sleeps", "rivers flow", "import os"]
DIMENSIONS = 576


@pytest.fixture
def client(library: House) -> Iterator[openai.OpenAI]:
    """The SDK as a user sets it up, except that it never tries again."""
    with openai.OpenAI(base_url=library.base_url, api_key="none", max_retries=0) as sdk:
        yield sdk


def test_embeddings(client: openai.OpenAI) -> None:
    """Each text has its vector, in order, with the usage and under the model's own name."""
    answer = client.embeddings.create(model="text-embedding-3-small", input=TEXTS)
    assert ("list", "vectors") == (answer.object, answer.model)
    assert [(0, DIMENSIONS), (1, DIMENSIONS), (2, DIMENSIONS)] == [
        (entry.index, len(entry.embedding)) for entry in answer.data
    ]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_base64_and_floats_are_the_same(client: openai.OpenAI) -> None:
    """The SDK asks for base64 by itself; who asks for floats gets the same numbers."""
    packed = client.embeddings.create(model="vectors", input=TEXTS[0]).data[0].embedding
    floats = client.embeddings.create(model="vectors", input=TEXTS[0], encoding_format="float").data[0].embedding
    assert pytest.approx(floats, abs=1e-5) == packed


def test_equal_texts_have_equal_vectors(client: openai.OpenAI) -> None:
    """And different ones different vectors."""
    first, second, third = client.embeddings.create(model="vectors", input=[TEXTS[0], TEXTS[1], TEXTS[0]]).data
    assert pytest.approx(first.embedding, abs=1e-5) == third.embedding
    assert first.embedding != second.embedding


def test_concurrent_requests(client: openai.OpenAI) -> None:
    """Each gets its own vector and usage, as it does alone, though the engine is asked for several at once."""

    def embed(text: str) -> tuple[list[float], int]:
        anew = {"cache-control": "no-cache"}
        answer = client.embeddings.create(model="vectors", input=text, extra_headers=anew)
        return answer.data[0].embedding, answer.usage.prompt_tokens

    texts = [f"{verb} {noun}" for verb in ("paint", "sell", "drown", "import") for noun in ("rivers", "a cat", "os")]
    alone = [embed(text) for text in texts]
    with ThreadPoolExecutor(len(texts)) as threads:
        together = list(threads.map(embed, texts))
    assert [num_tokens for _, num_tokens in alone] == [num_tokens for _, num_tokens in together]
    for (vector, _), (other, _) in zip(alone, together, strict=True):
        assert pytest.approx(vector, abs=0.01) == other  # llama.cpp rounds otherwise in company


def test_merged_calls_are_counted(client: openai.OpenAI, library: House) -> None:
    """Every input, once the processes have reported."""
    name = exported_name(MERGED_INPUTS)
    before = scrape(library).total(f"{name}_sum")
    texts = [f"counted {number}" for number in range(8)]
    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(lambda text: client.embeddings.create(model="vectors", input=text), texts))
    wait_for("they are counted", lambda: scrape(library).total(f"{name}_sum") - before >= len(texts))


def test_a_text_over_the_context(client: openai.OpenAI) -> None:
    """The code that clients know, and the field of this route."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="vectors", input="word " * 2000)
    assert ("context_length_exceeded", "input") == (refused.value.code, refused.value.param)


@pytest.mark.parametrize("model", ["words", "ranks"])
def test_a_model_that_makes_no_embeddings(model: str, client: openai.OpenAI) -> None:
    """Is said to be for something else."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=model, input="hi")
    assert ("model_does_not_support", "model") == (refused.value.code, refused.value.param)


def test_a_chat_with_an_embedding_model(client: openai.OpenAI) -> None:
    """Is refused, whole or streamed, though llama.cpp would answer it."""
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(
                model="vectors", messages=[{"role": "user", "content": "hi"}], stream=stream, max_tokens=1
            )
        assert "model_does_not_support" == refused.value.code


def test_dimensions(client: openai.OpenAI) -> None:
    """llama.cpp would give all of them without a word."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="vectors", input="hi", dimensions=64)
    assert ("unsupported_parameter", "dimensions") == (refused.value.code, refused.value.param)


def test_rerank(client: openai.OpenAI) -> None:
    """Each document has a score, the best first."""
    body: dict[str, Any] = {"model": "ranks", "query": "what do cats do", "documents": ["cats purr", "dogs bark"]}
    answer = client.post("/rerank", body=body, cast_to=dict[str, Any])
    scores = [result["relevance_score"] for result in answer["results"]]
    assert [0, 1] == sorted(result["index"] for result in answer["results"])
    assert sorted(scores, reverse=True) == scores


def test_models_say_what_they_are_for(client: openai.OpenAI) -> None:
    """In the list of models."""
    tasks = {card.id: card.to_dict()["task"] for card in client.models.list()}
    generating = {"words": "generate", "broken": "generate"}
    assert {**generating, "vectors": "embed", "text-embedding-3-small": "embed", "ranks": "rerank"} == tasks
