"""Requests that wait in the router: a real router, real sockets, and an engine with one slot."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio
from door import APPLICATION, Door, OpenDoor
from polling import eventually
from raw_client import ClientAnswer
from scripted_engine import ScriptedEngine
from wire import CHAT, CHAT_STREAM, COMPLETED, EMBEDDING, LAST_CHUNK, STREAM_HEAD, TOKENS, WHOLE, chunk, whole

from cache.memory_store import MemoryStore
from configs.router import ModelRoute, RouterUserConfig
from router.attempts import Attempts
from router.metrics import QUEUE_TIME, QUEUED, REQUESTS
from router.models.table import ModelTable
from router.replicas.registry import Figures, Replica

DONE_WITH_USAGE = chunk(b"data: [DONE]\n\n")


def small(engine: ScriptedEngine, name: str = "small", max_num_seqs: int = 1) -> Replica:
    replica = engine.replica(name)
    replica.max_num_seqs = max_num_seqs
    return replica


class Busy:
    """A router whose replica runs one request, `first`, until `finish`; `asked` are the prompts after it, in order."""

    def __init__(self, door: Door, engine: ScriptedEngine) -> None:
        self.door = door
        self.engine = engine
        self.finish = asyncio.Event()
        self.tasks: list[asyncio.Task[ClientAnswer]] = []

    async def begin(self) -> None:
        num_before = len(self.engine.requests)
        self.engine.script(self.finish, WHOLE)
        self.engine.otherwise = [WHOLE]
        self.tasks.append(asyncio.create_task(self.door.post(CHAT)))
        await eventually(lambda: len(self.engine.requests) > num_before)

    async def ask(self, name: str, priority: str | None = None, **body: object) -> asyncio.Task[ClientAnswer]:
        """One more request, which waits."""
        before = self.num_waiting
        path = "/v1/completions" if "suffix" in body else "/v1/chat/completions"
        said = {"prompt": name} if "suffix" in body else {"messages": [{"role": "user", "content": name}]}
        headers = {"x-enginehouse-priority": priority} if priority else None
        task = asyncio.create_task(self.door.post({"model": "m", "user": name, **said, **body}, path, headers))
        self.tasks.append(task)
        await eventually(lambda: task.done() or self.num_waiting > before)
        assert not task.done(), task.result()
        return task

    @property
    def num_waiting(self) -> int:
        return len(self.door.state.lanes._queue(APPLICATION).waiting)

    @property
    def order(self) -> list[object]:
        """Those who wait, by name."""
        waiting = self.door.state.lanes._queue(APPLICATION).waiting
        attempts = {one._ticket: one for one in self.door.state.generations if isinstance(one, Attempts)}
        return [attempts[one.ticket]._call.body["user"] for one in waiting]

    @property
    def asked(self) -> list[object]:
        return [request.document["user"] for request in self.engine.requests[1:]]

    async def statuses(self) -> list[int]:
        self.finish.set()
        return [(await task).status for task in self.tasks]


@pytest_asyncio.fixture
async def busy(door: Door, engine: ScriptedEngine) -> AsyncIterator[Busy]:
    """With nobody ahead, so that every further request waits."""
    door.set_route(queue={"max_ahead": 0})
    door.serve_with(small(engine))
    made = Busy(door, engine)
    await made.begin()
    yield made
    await made.statuses()


async def test_requests_wait_in_the_router_by_priority(busy: Busy) -> None:
    """Interactive first, chats before completions, then background, then batch; each in the order of arrival."""
    await busy.ask("batch", "batch")
    await busy.ask("background 1", "background")
    await busy.ask("completion", suffix="x")
    await busy.ask("background 2", "background")
    await busy.ask("chat 1")
    await busy.ask("chat 2", "interactive")
    assert [] == busy.asked
    assert [200] * 7 == await busy.statuses()
    assert ["chat 1", "chat 2", "completion", "background 1", "background 2", "batch"] == busy.asked


async def test_an_engine_is_given_some_ahead(door: Door, engine: ScriptedEngine) -> None:
    """So that it need not wait for the router when a request ends."""
    door.set_route(queue={"max_ahead": 2})
    door.serve_with(small(engine))
    gate = asyncio.Event()
    engine.otherwise = [gate, WHOLE]
    posts = [asyncio.create_task(door.post(CHAT)) for _ in range(5)]
    await eventually(lambda: len(door.state.generations) == 10 and len(engine.requests) == 3)
    gate.set()
    assert [200] * 5 == [(await post).status for post in posts]
    assert (5, 0) == (len(engine.requests), door.num_running)


async def test_a_client_that_leaves_is_gone_from_the_queue(busy: Busy) -> None:
    """At once, and its turn is the next one's; the engine never hears of it."""
    with await busy.door.client() as client:
        await client.post({**CHAT, "user": "leaver"})
        await eventually(lambda: busy.num_waiting == 1)
        await busy.ask("next")
        client.leave()
        await eventually(lambda: busy.num_waiting == 1)
    assert [200, 200] == await busy.statuses()
    assert ["next"] == busy.asked
    assert 1 == busy.door.sink.total(REQUESTS, code="client_disconnected")


async def test_a_full_queue_refuses(busy: Busy) -> None:
    """503, which clients try again: Codex gives up on a 429."""
    busy.door.set_route(queue={"max_ahead": 0, "max_length": 1})
    await busy.ask("first")
    answer = await busy.door.post(CHAT)
    error = orjson.loads(answer.body)["error"]
    assert (503, "engine_overloaded", "5") == (answer.status, error["code"], answer.headers["retry-after"])


async def test_a_queue_without_places_is_for_nobody(door: Door, engine: ScriptedEngine) -> None:
    """Whoever finds room needs none, whatever the priority."""
    door.set_route(queue={"max_ahead": 0, "max_length": 0})
    door.serve_with(small(engine))
    busy = Busy(door, engine)
    assert 200 == (await _answered(busy, "batch")).status
    await busy.begin()
    assert 503 == (await door.post(CHAT)).status
    assert [200] == await busy.statuses()


async def _answered(busy: Busy, priority: str) -> ClientAnswer:
    busy.engine.script(WHOLE)
    return await busy.door.post(CHAT, headers={"x-enginehouse-priority": priority})


async def test_who_goes_first_takes_the_place_of_who_goes_last(busy: Busy) -> None:
    """Where the queue is full, the last of the lowest priority is refused instead."""
    busy.door.set_route(queue={"max_ahead": 0, "max_length": 2})
    kept, lost = await busy.ask("kept", "background"), await busy.ask("lost", "background")
    chat = asyncio.create_task(busy.door.post({**CHAT, "user": "chat"}))
    assert 503 == (await lost).status
    busy.finish.set()
    assert [200, 200] == [(await chat).status, (await kept).status]
    assert ["chat", "kept"] == busy.asked


@pytest.mark.parametrize(
    "fields",
    [
        {"queue": {"max_ahead": 0, "max_wait_s": 0.05}},
        {"queue": {"max_ahead": 0}, "reliability": {"deadlines": {"queue_s": 0.05}}},
    ],
    ids=["max_wait_s", "queue_s"],
)
async def test_a_wait_has_an_end(fields: dict[str, object], busy: Busy) -> None:
    """503 after `max_wait_s`, or the deadline for the queue where that is shorter."""
    busy.door.set_route(**fields)
    answer = await busy.door.post(CHAT)
    assert (503, "engine_overloaded") == (answer.status, orjson.loads(answer.body)["error"]["code"])
    assert 0 == busy.num_waiting


@pytest.mark.parametrize("bound", [{"max_length": 0}, {"max_wait_s": 0.05}], ids=["length", "time"])
async def test_who_may_not_wait_is_served_by_a_fallback(
    bound: dict[str, float], busy: Busy, other_engine: ScriptedEngine
) -> None:
    """As where an engine says by itself that it is full; that it was wanted is told to who scales it."""
    busy.door.set_route(queue={"max_ahead": 0, **bound}, fallbacks=("spare",))
    busy.door.state.take_over_replicas("spare", [small(other_engine, "f1")])
    other_engine.otherwise = [WHOLE]
    assert 200 == (await busy.door.post(CHAT)).status
    assert ([], 1, 0) == (busy.asked, len(other_engine.requests), busy.num_waiting)
    assert APPLICATION in busy.door.state.demand._missed_at


async def test_where_the_fallback_is_full_too_nobody_waits(busy: Busy, other_engine: ScriptedEngine) -> None:
    """503, from the last that was looked at; the place at neither is kept."""
    busy.door.set_route(queue={"max_ahead": 0, "max_length": 0}, fallbacks=("spare",))
    spare = small(other_engine, "f1")
    busy.door.state.take_over_replicas("spare", [spare])
    spare.begin()
    assert 503 == (await busy.door.post(CHAT)).status
    spare.end()
    assert (1, []) == (len(busy.door.state.lanes._in_use), other_engine.requests)


async def test_a_stream_that_waits_is_kept_alive(busy: Busy) -> None:
    """Its headers go out early, and comments follow; the engine has not heard of it yet."""
    requests = busy.door.state.table.requests.model_copy(update={"early_headers_s": 0.03})
    busy.door.state.table.requests = requests
    busy.engine.script(STREAM_HEAD, chunk(TOKENS), DONE_WITH_USAGE, LAST_CHUNK)
    with await busy.door.client() as client:
        await client.post({**CHAT_STREAM, "user": "stream"})
        for _ in range(2):
            await client.until(b": keep-alive")
        assert (1, []) == (busy.num_waiting, busy.asked)
        busy.finish.set()
        await client.until(b"[DONE]")


async def test_a_replica_that_comes_takes_those_who_wait(busy: Busy, other_engine: ScriptedEngine) -> None:
    """At once."""
    task = await busy.ask("first")
    other_engine.otherwise = [WHOLE]
    busy.door.serve_with(*busy.door.replicas, small(other_engine, "r2"))
    assert 200 == (await task).status
    assert (1, []) == (len(other_engine.requests), busy.asked)


async def test_the_applications_of_requests_under_way_are_in_use(busy: Busy) -> None:
    """Those of the table that they began with, until the last of them is answered."""
    await busy.ask("first")
    busy.door.state.take_over_table(ModelTable(RouterUserConfig(models={"m": ModelRoute(application="other")})))
    assert {APPLICATION} == busy.door.state.lanes.applications_in_use()
    assert [200, 200] == await busy.statuses()
    assert frozenset() == busy.door.state.lanes.applications_in_use()


async def test_who_waits_for_replicas_that_go_is_told_so(busy: Busy) -> None:
    """As everybody who finds none: 503 after `replica_wait_s`."""
    task = await busy.ask("first")
    busy.door.serve_with()
    assert "engine_unavailable" == orjson.loads((await task).body)["error"]["code"]


async def test_other_routers_requests_are_waited_for(door: Door, engine: ScriptedEngine) -> None:
    """Until the replica's figures say that they are gone."""
    door.serve_with(small(engine))
    engine.otherwise = [WHOLE]
    door.state.take_over_figures({"small": Figures(1, 1, 2, None)})
    task = asyncio.create_task(door.post(CHAT))
    await eventually(lambda: door.state.lanes._queue(APPLICATION).num_requests)
    assert [] == engine.requests
    door.state.take_over_figures({"small": Figures(2, 0, 0, None)})
    assert 200 == (await task).status


async def test_a_request_that_failed_elsewhere_waits_for_the_other(busy: Busy, other_engine: ScriptedEngine) -> None:
    """It keeps its place by its arrival: whoever came later goes after it."""
    other_engine.script(whole({"error": {"message": "no"}}, 503))
    busy.door.serve_with(*busy.door.replicas, small(other_engine, "r2"))
    first = asyncio.create_task(busy.door.post({**CHAT, "user": "first"}))
    await eventually(lambda: busy.num_waiting == 1)
    busy.door.serve_with(busy.door.replicas[0])
    await busy.ask("second")
    assert [200, 200] == await busy.statuses()
    assert 200 == (await first).status
    assert ["first", "second"] == busy.asked


async def test_a_shared_answer_waits_no_longer_than_its_most_urgent_client_would(
    open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """Where somebody with a higher priority wants the same answer, it moves up, and both get it."""
    door = await open_door(store=MemoryStore(1_000_000, 10_000))
    door.set_route(queue={"max_ahead": 0})
    door.serve_with(small(engine))
    busy = Busy(door, engine)
    await busy.begin()
    await busy.ask("first", "background")
    shared = await busy.ask("shared", "background", temperature=0)
    again = {"model": "m", "user": "shared", "messages": [{"role": "user", "content": "shared"}], "temperature": 0}
    joined = asyncio.create_task(door.post(again))
    await eventually(lambda: busy.order == ["shared", "first"])
    assert [200] * 3 == await busy.statuses()
    assert ("joined", "miss") == (
        (await joined).headers["x-enginehouse-cache"],
        (await shared).headers["x-enginehouse-cache"],
    )
    assert ["shared", "first"] == busy.asked


async def test_priorities_of_routes(busy: Busy) -> None:
    """A model's chats may go after its completions."""
    busy.door.set_route(queue={"max_ahead": 0, "priorities": {"/v1/chat/completions": "background"}})
    await busy.ask("chat")
    await busy.ask("completion", suffix="x")
    await busy.statuses()
    assert ["completion", "chat"] == busy.asked


async def test_what_waits_is_counted(busy: Busy) -> None:
    """How many, and for how long; who found room at once is not among them."""
    await busy.ask("first", "background")
    sink = busy.door.sink
    await eventually(lambda: any(one.value == 1 for one in sink.of(QUEUED, model="m", priority="background")))
    assert [] == list(sink.of(QUEUE_TIME))
    await busy.statuses()
    assert 1 == len(list(sink.of(QUEUE_TIME, model="m", priority="background")))
    await eventually(lambda: [*sink.of(QUEUED, priority="background")][-1].value == 0)


@pytest.mark.parametrize(
    ("priority", "expected"), [(None, None), ("interactive", None), ("background", 10), ("batch", 20)]
)
async def test_engines_that_know_priorities_are_told(
    priority: str | None, expected: int | None, door: Door, engine: ScriptedEngine
) -> None:
    """Lower is sooner, and nothing is 0: the body goes on as it came then."""
    replica = engine.replica("orderly")
    replica.has_priorities = True
    door.serve_with(replica)
    engine.otherwise = [WHOLE]
    await door.post(CHAT, headers={"x-enginehouse-priority": priority} if priority else None)
    assert expected == engine.requests[0].document.get("priority")


async def test_no_client_sets_an_engines_priority(door: Door, engine: ScriptedEngine) -> None:
    """Where the engine knows some, the request's own is put into its place; others get what the client sent."""
    engine.otherwise = [WHOLE]
    await door.post({**CHAT, "priority": -5})
    door.replicas[0].has_priorities = True
    await door.post({**CHAT, "priority": -5})
    assert [-5, 0] == [request.document["priority"] for request in engine.requests]


async def test_a_priority_that_is_none_is_refused(door: Door) -> None:
    """400 that names the header."""
    answer = await door.post(CHAT, headers={"x-enginehouse-priority": "urgent"})
    assert (400, "x-enginehouse-priority") == (answer.status, orjson.loads(answer.body)["error"]["param"])


async def test_batch_requests_of_clients_take_what_batches_may(door: Door, engine: ScriptedEngine) -> None:
    """Of four slots three; what is interactive still finds room."""
    door.serve_with(small(engine, max_num_seqs=4))
    gate = asyncio.Event()
    engine.otherwise = [gate, whole({**COMPLETED, "object": "list"})]
    headers = {"x-enginehouse-priority": "batch"}
    posts = [asyncio.create_task(door.post(EMBEDDING | CHAT, headers=headers)) for _ in range(5)]
    await eventually(lambda: len(engine.requests) == 3 and door.state.lanes._queue(APPLICATION).num_requests == 2)
    posts.append(asyncio.create_task(door.post(CHAT)))
    await eventually(lambda: len(engine.requests) == 4)
    gate.set()
    assert [200] * 6 == [(await post).status for post in posts]
    assert 0 == door.state.lanes._queue(APPLICATION).num_batch
