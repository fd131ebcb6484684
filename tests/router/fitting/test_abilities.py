"""Embeddings and reranking over the request path, and models that are asked for what they are not for."""

import base64
import struct

import openai
import orjson
import pytest
from door import Door, OpenDoor
from scripted_engine import Ending, ScriptedEngine
from wire import CHAT, CHAT_STREAM, COMPLETION, EMBEDDING, RERANK, WHOLE, whole

from configs.engine import Task
from router.metrics import COMPLETION_TOKENS, PROMPT_TOKENS, REQUESTS, RETRIES
from router.replicas.statement import Statement

EMBEDDED: dict[str, object] = {
    "object": "list",
    "model": "m",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
RANKED: dict[str, object] = {
    "model": "m",
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
CODE = "model_does_not_support"


@pytest.mark.parametrize(
    ("path", "body", "task", "answer"),
    [
        ("/v1/embeddings", EMBEDDING, "embed", EMBEDDED),
        ("/v1/rerank", RERANK, "rerank", {**RANKED, "data": RANKED["results"]}),
    ],
)
async def test_an_answer_passes_as_it_is(
    *, path: str, body: dict[str, object], task: Task, answer: dict[str, object], door: Door, engine: ScriptedEngine
) -> None:
    """The engine gets the client's bytes on the same path, and the client the engine's."""
    door.serve_with(engine.replica("e1", task=task))
    engine.script(whole(answer))
    sent = orjson.dumps({**body, "some_field": 1}, option=orjson.OPT_INDENT_2)
    got = await door.post(sent, path)
    [request] = engine.requests
    assert (200, orjson.dumps(answer)) == (got.status, got.body)
    assert (path, sent) == (request.path, request.body)
    assert "x-request-id" in got.headers


async def test_the_usage_is_counted(door: Door, engine: ScriptedEngine) -> None:
    """What was read counts; nothing was written."""
    door.serve_with(engine.replica("e1", task="embed"))
    engine.script(whole(EMBEDDED))
    await door.post(EMBEDDING, "/v1/embeddings")
    assert 1 == door.sink.total(REQUESTS, route="/v1/embeddings", code="ok", model="m")
    assert (3, 0) == (door.sink.total(PROMPT_TOKENS), door.sink.total(COMPLETION_TOKENS))


async def test_an_alias_becomes_the_models_name(door: Door, engine: ScriptedEngine) -> None:
    """Nothing is added that only generations know, even where a client asks for a stream."""
    door.serve_with(engine.replica("e1", task="embed"))
    engine.script(whole(EMBEDDED))
    await door.post({**EMBEDDING, "model": "default", "stream": True}, "/v1/embeddings")
    assert {**EMBEDDING, "stream": True} == engine.requests[0].document


async def test_another_replica_answers(door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """Where the first is lost."""
    door.serve_with(engine.replica("e1", task="embed"), other_engine.replica("e2", task="embed"))
    engine.otherwise = [Ending.RESET]
    other_engine.otherwise = [whole(EMBEDDED)]
    assert [200, 200] == [(await door.post(EMBEDDING, "/v1/embeddings")).status for _ in range(2)]
    assert door.sink.total(RETRIES) >= 1


@pytest.mark.parametrize(
    ("task", "path", "body", "message"),
    [
        ("embed", "/v1/chat/completions", CHAT, "makes embeddings: ask it at /v1/embeddings, not at"),
        ("embed", "/v1/chat/completions", CHAT_STREAM, "makes embeddings"),
        ("embed", "/v1/completions", COMPLETION, "makes embeddings"),
        ("embed", "/v1/rerank", RERANK, "makes embeddings"),
        ("rerank", "/v1/embeddings", EMBEDDING, "reranks documents: ask it at /v1/rerank"),
        ("generate", "/v1/embeddings", EMBEDDING,
         "generates text: ask it at /v1/chat/completions or /v1/completions, not at /v1/embeddings"),
        ("generate", "/v1/rerank", RERANK, "generates text"),
    ],
)  # fmt: skip
async def test_a_model_is_not_asked_for_what_it_is_not_for(
    *, task: Task, path: str, body: dict[str, object], message: str, door: Door, engine: ScriptedEngine
) -> None:
    """The refusal says what it is for, and no engine hears of the request."""
    door.serve_with(engine.replica("e1", task=task))
    answer = await door.post(body, path)
    assert (400, CODE, "model") == (answer.status, answer.error["code"], answer.error["param"])
    assert message in str(answer.error["message"])
    assert [] == engine.requests
    assert 1 == door.sink.total(REQUESTS, code=CODE)


async def test_a_field_that_the_engine_ignores_is_refused(door: Door, engine: ScriptedEngine) -> None:
    """llama.cpp would give all dimensions; vLLM is asked, and judges by itself."""
    body = {**EMBEDDING, "dimensions": 64}
    door.serve_with(engine.replica("e1", task="embed"))
    refused = await door.post(body, "/v1/embeddings")
    door.serve_with(engine.replica("r2", "vllm", task="embed"))
    engine.script(whole(EMBEDDED))
    assert (400, "unsupported_parameter", "dimensions") == (
        refused.status, refused.error["code"], refused.error["param"],
    )  # fmt: skip
    assert 200 == (await door.post(body, "/v1/embeddings")).status
    assert 64 == engine.requests[0].document["dimensions"]


async def test_an_echo_that_would_not_come_is_refused(door: Door, engine: ScriptedEngine) -> None:
    """llama.cpp would answer without it; a client that says that it wants none gets none."""
    refused = await door.post({**COMPLETION, "echo": True}, "/v1/completions")
    assert (400, "unsupported_parameter", "echo") == (refused.status, refused.error["code"], refused.error["param"])
    engine.script(WHOLE)
    assert 200 == (await door.post({**COMPLETION, "echo": False}, "/v1/completions")).status


@pytest.mark.parametrize("profile", ["llama_cpp", "vllm"])
async def test_a_choice_among_more_texts_than_come_is_refused(profile: str, door: Door, engine: ScriptedEngine) -> None:
    """Both would give the first; of as many as are wanted there is nothing to choose."""
    door.serve_with(engine.replica("e1", profile))
    refused = await door.post({**COMPLETION, "n": 2, "best_of": 3}, "/v1/completions")
    assert (400, "unsupported_parameter", "best_of") == (
        refused.status, refused.error["code"], refused.error["param"],
    )  # fmt: skip
    engine.otherwise = [WHOLE]
    for fine in ({"best_of": 1}, {"n": 2, "best_of": 2}):
        assert 200 == (await door.post({**COMPLETION, **fine}, "/v1/completions")).status


@pytest.mark.parametrize(
    ("profile", "kind", "status"),
    [
        ("llama_cpp", "xml", 400), ("llama_cpp", "structural_tag", 400), ("llama_cpp", "json_object", 200),
        ("vllm", "xml", 400), ("vllm", "structural_tag", 200), ("front", "grammar", 200),
    ],
)  # fmt: skip
async def test_types_of_formats(profile: str, kind: str, status: int, door: Door, engine: ScriptedEngine) -> None:
    """What an engine does not know is refused by name; what stands behind a front judges by itself."""
    door.serve_with(engine.replica("e1", profile))
    engine.otherwise = [WHOLE]
    answer = await door.post({**CHAT, "response_format": {"type": kind}})
    assert status == answer.status
    if status == 400:
        assert ("invalid_request", "response_format.type") == (answer.error["code"], answer.error["param"])


async def test_a_format_of_a_kind_of_its_own_at_an_engine_that_holds_to_none(
    door: Door, engine: ScriptedEngine
) -> None:
    """Is refused as JSON is: words would not be what was asked for."""
    replica = engine.replica("said", "vllm")
    replica.statement = Statement(structured_output=False)
    door.serve_with(replica)
    answer = await door.post({**CHAT, "response_format": {"type": "structural_tag"}})
    assert (400, CODE, []) == (answer.status, answer.error["code"], engine.requests)


async def test_a_text_over_the_context_names_the_input(door: Door, engine: ScriptedEngine) -> None:
    """An engine does not know what the client's field is called."""
    door.serve_with(engine.replica("e1", task="embed"))
    engine.script(whole({"error": {"message": "x", "type": "exceed_context_size_error", "code": 400}}, 400))
    error = (await door.post(EMBEDDING, "/v1/embeddings")).error
    assert ("context_length_exceeded", "input") == (error["code"], error["param"])


async def test_an_engine_without_the_route_says_so(door: Door, engine: ScriptedEngine) -> None:
    """Its words reach the client, and it is not asked again."""
    door.serve_with(engine.replica("e1", task="rerank"))
    engine.script(whole({"error": {"message": "This server does not support reranking", "code": 501}}, 501))
    error = (await door.post(RERANK, "/v1/rerank")).error
    assert ("engine_failed", "This server does not support reranking") == (error["code"], error["message"])


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_other_methods_are_refused(method: str, door: Door) -> None:
    """As at every route of an engine."""
    answer = await door.ask(method, "/v1/rerank")
    assert (405, "POST") == (answer.status, answer.headers["allow"])


async def test_embeddings_need_a_key(open_door: OpenDoor) -> None:
    """As everything else."""
    door = await open_door(keys=["k1"])
    assert 401 == (await door.post(EMBEDDING, "/v1/embeddings")).status


async def test_the_official_client(door: Door, engine: ScriptedEngine) -> None:
    """It asks for base64 by itself, and reads the vector from it."""
    door.serve_with(engine.replica("e1", task="embed"))
    packed = base64.b64encode(struct.pack("<2f", 0.5, -0.25)).decode()
    engine.script(whole({**EMBEDDED, "data": [{"object": "embedding", "index": 0, "embedding": packed}]}))
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{door.port}/v1", api_key="any") as client:
        answer = await client.embeddings.create(model="m", input=["hi"])
    assert "base64" == engine.requests[0].document["encoding_format"]
    assert [0.5, -0.25] == answer.data[0].embedding


async def test_the_official_client_hears_what_a_model_is_for(door: Door, engine: ScriptedEngine) -> None:
    """As a bad request, which it does not repeat."""
    engine.script(WHOLE)
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{door.port}/v1", api_key="any") as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.embeddings.create(model="m", input="hi")
    assert CODE == refused.value.code
    assert 1 == door.sink.total(REQUESTS)
