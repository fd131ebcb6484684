"""Reranking in both shapes, and vLLM's scores, through a real router."""

import orjson
import pytest
from door import Door, OpenDoor
from scripted_engine import ScriptedEngine
from wire import RERANK, whole

RANKED: dict[str, object] = {
    "model": "m",
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}],
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}


@pytest.fixture
async def ranker(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    door = await open_door()
    door.serve_with(engine.replica("e1", task="rerank"))
    engine.otherwise = [whole(RANKED)]
    return door


@pytest.mark.parametrize("name", ["results", "data"])
async def test_a_rank_is_under_both_names(name: str, ranker: Door, engine: ScriptedEngine) -> None:
    """Continue reads one of them, by the provider that its user has set; engines give either."""
    engine.script(whole({"model": "m", name: RANKED["results"]}))
    document = orjson.loads((await ranker.post(RERANK, "/v1/rerank")).body)
    assert [RANKED["results"]] * 2 == [document["results"], document["data"]]


async def test_an_engines_refusal_stays_one(ranker: Door, engine: ScriptedEngine) -> None:
    """Errors have no second shape."""
    engine.script(whole({"error": {"message": "too long", "type": "x", "code": 400}}, 400))
    answer = await ranker.post(RERANK, "/v1/rerank")
    assert (400, "too long") == (answer.status, answer.error["message"])


@pytest.mark.parametrize("path", ["/v1/score", "/score"])
@pytest.mark.parametrize(("query", "documents"), [("text_1", "text_2"), ("queries", "documents")])
async def test_scores_are_in_the_order_of_the_texts(
    path: str, query: str, documents: str, ranker: Door, engine: ScriptedEngine
) -> None:
    """Under the names of either version of vLLM; the engine is asked to rerank."""
    answer = await ranker.post({"model": "m", query: "hi", documents: ["a", "b"]}, path)
    document = orjson.loads(answer.body)
    assert ("/v1/rerank", {"model": "m", "query": "hi", "documents": ["a", "b"]}) == (
        engine.requests[0].path,
        engine.requests[0].document,
    )
    assert ("list", RANKED["usage"], [(0, "score", 0.1), (1, "score", 0.9)]) == (
        document["object"],
        document["usage"],
        [(one["index"], one["object"], one["score"]) for one in document["data"]],
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"text_1": "a", "text_2": "b"}, "model"),
        ({"model": "m", "text_2": "b"}, "text_1"),
        ({"model": "m", "text_1": "a"}, "text_2"),
        ({"model": "m", "text_1": "a", "text_2": []}, "text_2"),
        ({"model": "m", "text_1": ["a", "b"], "text_2": ["c", "d"]}, "text_1"),
        ({"model": "m", "queries": "a", "documents": 5}, "documents"),
    ],
)
async def test_bad_fields_are_named(body: dict[str, object], param: str, ranker: Door) -> None:
    """By the names that they came under."""
    answer = await ranker.post(body, "/v1/score")
    assert (400, param) == (answer.status, answer.error["param"])


async def test_a_model_that_generates_gives_no_scores(door: Door) -> None:
    """As it reranks nothing."""
    answer = await door.post({"model": "m", "text_1": "a", "text_2": "b"}, "/v1/score")
    assert (400, "model_does_not_support") == (answer.status, answer.error["code"])
