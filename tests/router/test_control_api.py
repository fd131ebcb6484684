"""router.control_api and router.app: every route that is not a generation, and who may use it."""

import orjson
import pytest
from door import Door, OpenDoor
from scripted_engine import ScriptedEngine
from wire import CHAT, WHOLE

from router.app import RouterApp
from router.http.asgi import Message


def document(body: bytes) -> dict[str, object]:
    parsed: dict[str, object] = orjson.loads(body)
    return parsed


async def test_models_and_aliases_are_listed(door: Door) -> None:
    """An alias is a model of its own to clients; `root` says what is behind it."""
    answer = await door.ask("GET", "/v1/models")
    listed = document(answer.body)
    assert (200, "list") == (answer.status, listed["object"])
    cards = listed["data"]
    assert isinstance(cards, list)
    assert [("m", "m"), ("default", "m")] == [(card["id"], card["root"]) for card in cards]
    assert {"model"} == {card["object"] for card in cards}
    assert all(isinstance(card["created"], int) for card in cards)


async def test_the_list_is_there_without_the_version(open_door: OpenDoor) -> None:
    """For clients whose address was given without it; the key is asked for there, too."""
    door = await open_door(keys=["k1"])
    known = {"authorization": "Bearer k1"}
    answers = [await door.ask("GET", path, known) for path in ("/models", "/v1/models")]
    assert [200, 200] == [answer.status for answer in answers]
    assert answers[0].body == answers[1].body
    assert 401 == (await door.ask("GET", "/models")).status


@pytest.mark.parametrize("name", ["m", "default"])
async def test_one_model_is_shown_under_the_name_it_was_asked_by(name: str, door: Door) -> None:
    """Clients compare it."""
    answer = await door.ask("GET", f"/v1/models/{name}")
    assert (200, name) == (answer.status, document(answer.body)["id"])


async def test_the_context_is_that_of_the_smallest_replica(door: Door, engine: ScriptedEngine) -> None:
    """What every replica can take; under both names that clients read."""
    door.serve_with(
        engine.replica("r2", max_model_len=4096), engine.replica("r3", max_model_len=2048), engine.replica("r4")
    )
    card = document((await door.ask("GET", "/v1/models/m")).body)
    assert (2048, 2048, 3) == (card["max_model_len"], card["context_length"], card["ready_replicas"])


async def test_a_card_says_what_the_model_is_for(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """As its replicas say, or said before it went to sleep; nothing is claimed before there was one."""
    door = await open_door()
    before = document((await door.ask("GET", "/v1/models/m")).body)
    door.serve_with(engine.replica("r2", task="embed"))
    door.serve_with()
    after = document((await door.ask("GET", "/v1/models/m")).body)
    assert [(None, []), ("embed", ["embeddings"])] == [(card["task"], card["capabilities"]) for card in (before, after)]
    assert 0 == after["ready_replicas"]


async def test_an_unknown_context_is_null(door: Door) -> None:
    """Nobody knows it, so nothing is claimed."""
    assert document((await door.ask("GET", "/v1/models/m")).body)["max_model_len"] is None


async def test_an_unknown_model_is_not_found(door: Door) -> None:
    """A name may have slashes in it."""
    answer = await door.ask("GET", "/v1/models/org/unknown")
    assert (404, "model_not_found", "model") == (answer.status, answer.error["code"], answer.error["param"])
    assert "'org/unknown'" in str(answer.error["message"])


async def test_health(door: Door) -> None:
    """The router answers, and says how many replicas each model has."""
    answer = await door.ask("GET", "/health")
    assert (200, {"status": "ok", "ready_replicas": {"m": 1}, "doubted_replicas": {}}) == (
        answer.status,
        document(answer.body),
    )


async def test_health_for_who_asks_for_the_head_only(open_door: OpenDoor) -> None:
    """As some balancers and `curl -I` do, without a key."""
    door = await open_door(keys=["k1"])
    answer = await door.ask("HEAD", "/health")
    assert (200, b"") == (answer.status, answer.body)


async def test_health_while_draining(door: Door) -> None:
    """And every connection ends with its answer."""
    door.state.is_draining = True
    answer = await door.ask("GET", "/health")
    assert ("draining", "close") == (document(answer.body)["status"], answer.headers["connection"])


async def test_health_as_a_proxy_of_serve(door: Door) -> None:
    """KubeRay looks for the word in the answer; a router that drains gets no new clients."""
    before = await door.ask("GET", "/-/healthz")
    door.state.is_draining = True
    after = await door.ask("GET", "/-/healthz")
    assert [(200, b"success"), (503, b"draining")] == [(one.status, one.body) for one in (before, after)]


@pytest.mark.parametrize("path", ["/v1", "/v1/images", "/docs", "/v1/chat/completions/x"])
async def test_what_is_not_there_is_not_found(path: str, door: Door) -> None:
    """In the envelope, with the path."""
    answer = await door.ask("GET", path)
    assert (404, "not_found") == (answer.status, answer.error["code"])
    assert path in str(answer.error["message"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/m", "GET"),
        ("POST", "/health", "GET"),
    ],
)
async def test_a_wrong_method_is_told_the_right_one(method: str, path: str, allowed: str, door: Door) -> None:
    """In the envelope, and in the header `allow`."""
    answer = await door.ask(method, path)
    assert (405, "method_not_allowed", allowed) == (answer.status, answer.error["code"], answer.headers["allow"])


async def test_the_root(open_door: OpenDoor) -> None:
    """Says to anybody that somebody is there: Claude Code asks for its head before it sends anything."""
    door = await open_door(keys=["k1"])
    assert [200, 200] == [(await door.ask(method, "/")).status for method in ("HEAD", "GET")]


async def test_head_has_no_body(door: Door) -> None:
    """A head comes all the same, on a connection that stays open."""
    assert 405 == (await door.ask("HEAD", "/v1/chat/completions")).status


async def test_every_answer_has_a_request_id(door: Door) -> None:
    """The client's own where it is harmless."""
    assert (await door.ask("GET", "/v1/models")).headers["x-request-id"].startswith("req-")
    assert "mine" == (await door.ask("GET", "/nowhere", {"x-request-id": "mine"})).headers["x-request-id"]


async def test_the_openapi_document_names_every_route(door: Door) -> None:
    """Those of the request path, too."""
    paths = document((await door.ask("GET", "/openapi.json")).body)["paths"]
    assert isinstance(paths, dict)
    assert {
        "/v1/models", "/v1/models/{name}", "/health", "/v1/chat/completions", "/v1/completions",
        "/v1/embeddings", "/v1/rerank", "/v1/files", "/v1/files/{file_id}", "/v1/files/{file_id}/content",
        "/v1/batches", "/v1/batches/{batch_id}", "/v1/batches/{batch_id}/cancel",
        "/", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses",
        "/api/version", "/api/tags", "/api/ps", "/api/show", "/api/chat", "/api/generate", "/api/embed",
        "/api/embeddings", "/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete",
        "/infill", "/v1/infill", "/v1/fim/completions", "/fim/completions", "/v1/score", "/score",
        "/tokenize", "/detokenize", "/apply-template",
        "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech", "/props", "/generate",
    } == paths.keys()  # fmt: skip
    assert ["post"] == list(paths["/v1/chat/completions"])


# keys


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/m"),
        ("GET", "/nowhere"),
        ("GET", "/v1/completions"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("GET", "/v1/files"),
        ("GET", "/v1/batches"),
    ],
)
async def test_without_a_key_nothing_is_said(method: str, path: str, open_door: OpenDoor) -> None:
    """Not even what there is."""
    door = await open_door(keys=["k1"])
    answer = await door.ask(method, path)
    assert (401, "invalid_api_key") == (answer.status, answer.error["code"])


@pytest.mark.parametrize("path", ["/health", "/-/healthz", "/openapi.json"])
async def test_probes_need_no_key(path: str, open_door: OpenDoor) -> None:
    """They have none."""
    door = await open_door(keys=["k1"])
    assert 200 == (await door.ask("GET", path)).status


async def test_a_key_opens_every_route(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """The same key for all of them."""
    door = await open_door(keys=["k1"])
    door.serve_with(engine.replica("r1"))
    engine.script(WHOLE)
    assert 200 == (await door.ask("GET", "/v1/models", {"api-key": "k1"})).status
    assert 200 == (await door.post(CHAT, headers={"authorization": "Bearer k1"})).status


# ASGI beyond HTTP


async def spoken(app: RouterApp, kind: str, *messages: Message) -> list[Message]:
    """What the app sends in a scope of this kind."""
    sent: list[Message] = []
    left = list(messages)

    async def receive() -> Message:
        return left.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": kind, "headers": [], "path": "/"}, receive, send)
    return sent


async def test_the_lifespan_is_accepted(door: Door) -> None:
    """Serve's ingress has one."""
    sent = await spoken(RouterApp(door.state), "lifespan", {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == [message["type"] for message in sent]


async def test_websockets_are_refused(door: Door) -> None:
    """There is nothing to say on one."""
    assert ["websocket.close"] == [message["type"] for message in await spoken(RouterApp(door.state), "websocket")]
