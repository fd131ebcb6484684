"""The OpenAPI document against the router that gives it out: requests that it allows, and some that it does not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
import schemathesis
from door import APPLICATION, Door, OpenDoor
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from scripted_engine import Script, ScriptedEngine
from simulated_engines import SimulatedEngine
from wire import whole

from configs.batches import BatchSettings, FolderStoreSettings
from configs.router import ModelRoute, RouterUserConfig
from router.batches.service import Batches
from router.call import AUDIO_ROUTES, ROUTES
from router.models.table import ModelTable
from router.openapi.bodies import REQUESTS
from router.wire_apis.ollama.routes import refuse
from router.wire_apis.routes import WIRE_ROUTES

KEY = "k1"
OTHERS = ("vectors", "ranks", "hears", "speaks")
NUM_EXAMPLES = 8
"""Of each operation and each kind, so that all of them together take some ten seconds."""
CHECKS = [
    unsupported_method,
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


class ListEngine(ScriptedEngine):
    """Makes a vector for whatever it is given, ranks documents, and has a tokeniser."""

    def next_script(self, path: str) -> Script:
        if path == "/v1/rerank":
            return [whole({"id": "r", "model": "m", "results": [{"index": 0, "relevance_score": 0.5}]})]
        if not path.startswith("/v1/"):
            return [whole({"tokens": [1], "prompt": "hi", "content": "hi"})]
        data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
        return [whole({"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}})]


@pytest_asyncio.fixture
async def house(open_door: OpenDoor, tmp_path: Path) -> AsyncIterator[Door]:
    """A router with a key, with files and batches, and with a model for each task."""
    door = await open_door(keys=[KEY])
    simulated, lists = await SimulatedEngine.start(), ListEngine()
    hearing, speaking = await SimulatedEngine.start(task="transcribe"), await SimulatedEngine.start(task="speak")
    await lists.start()
    names = {"m": APPLICATION, **{name: name for name in OTHERS}}
    routes = {name: ModelRoute(application=application) for name, application in names.items()}
    door.state.take_over_table(ModelTable(RouterUserConfig(models=routes, requests=door.state.table.requests)))
    door.state.take_over_replicas(APPLICATION, [simulated.replica("m")])
    door.state.take_over_replicas("vectors", [lists.replica("vectors", task="embed")])
    door.state.take_over_replicas("ranks", [lists.replica("ranks", task="rerank")])
    door.state.take_over_replicas("hears", [hearing.replica("hears")])
    door.state.take_over_replicas("speaks", [speaking.replica("speaks")])
    store = FolderStoreSettings(type="folder", path=str(tmp_path / "batches"))
    door.state.batches = Batches.open(BatchSettings.model_validate({"store": store}), {}, door.state)
    yield door
    await lists.stop()
    for engine in (simulated, hearing, speaking):
        await engine.stop()


async def document_of(door: Door) -> dict[str, Any]:
    answer = await door.ask("GET", "/openapi.json")
    document: dict[str, Any] = orjson.loads(answer.body)
    return document


def with_names(schema: object) -> object:
    """The document of the same API, where only models are asked for that are there, and one that is not."""
    if isinstance(schema, dict):
        changed = {name: with_names(value) for name, value in schema.items()}
        if isinstance(changed.get("properties"), dict) and "model" in changed["properties"]:
            changed["properties"]["model"] = {"enum": ["m", *OTHERS, "nobody"]}
        return changed
    return [with_names(each) for each in schema] if isinstance(schema, list) else schema


def _ask(operation: Any, mode: GenerationMode, base_url: str) -> Callable[[], None]:
    """Asks for one operation with so many requests, the same ones every time."""

    @settings(
        max_examples=NUM_EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        response = case.call(base_url=base_url, headers={"authorization": f"Bearer {KEY}"}, timeout=60)
        case.validate_response(response, checks=CHECKS)

    return ask


def _ask_all(document: dict[str, Any], mode: GenerationMode, base_url: str) -> set[str]:
    """Asks for every operation; which ones those were."""
    asked = set()
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        try:
            _ask(operation, mode, base_url)()
        except Unsatisfiable:  # there is nothing that could be wrong with it
            continue
        asked.add(operation.label)
    return asked


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["allowed", "not allowed"])
async def test_answers_are_as_documented(mode: GenerationMode, house: Door) -> None:
    """No status from 500 on, and none, no kind of content and no shape that is not in the document."""
    document = with_names(await document_of(house))
    assert isinstance(document, dict)
    asked = await asyncio.to_thread(_ask_all, document, mode, f"http://127.0.0.1:{house.port}")
    assert {f"POST {path}" for path in (*ROUTES, *AUDIO_ROUTES)} <= asked


async def test_every_route_is_documented(door: Door) -> None:
    """Those that FastAPI never sees included, each with its statuses, and none of them 422."""
    paths = (await document_of(door))["paths"]
    assert set() == {*ROUTES, *WIRE_ROUTES} - paths.keys()
    operations = [operation for each in paths.values() for operation in each.values()]
    assert [] == [one for one in operations if "422" in one["responses"] or not one["responses"].keys() - {"200"}]


def test_every_body_is_documented() -> None:
    """With its fields, so that they are tried above; but where every request is refused."""
    asked = {
        path
        for path, route in WIRE_ROUTES.items()
        if "POST" in route.methods and getattr(route, "reply", None) is not refuse
    }
    assert set() == {*ROUTES, *asked} - REQUESTS.keys()


@pytest.mark.parametrize("path", ["/infill", "/v1/infill", "/v1/fim/completions", "/fim/completions"])
async def test_streams_are_documented(path: str, door: Door) -> None:
    """As what they are, where the request may ask for one."""
    answers = (await document_of(door))["paths"][path]["post"]["responses"]
    assert {"application/json", "text/event-stream"} == answers["200"]["content"].keys()


async def test_keys_are_documented(door: Door) -> None:
    """Probes need none; everything else takes one in any of three headers."""
    paths = (await document_of(door))["paths"]
    needing = {path for path, each in paths.items() for operation in each.values() if operation.get("security")}
    assert {"/", "/health", "/api/version"} == paths.keys() - needing
    assert 3 == len(paths["/v1/models"]["get"]["security"])
