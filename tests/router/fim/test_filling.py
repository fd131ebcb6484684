"""Filling in the middle through a real router: the engine records the prompt that it gets."""

import asyncio

import orjson
import pytest
from door import APPLICATION, Door, OpenDoor
from polling import eventually
from raw_client import ClientAnswer
from scripted_engine import Ending, ScriptedEngine
from wire import DONE, STREAM_HEAD, chunk, event, stream, whole

from cache.memory_store import MemoryStore
from configs.reliability import BreakerPolicy
from configs.router import ModelRoute, RouterUserConfig
from router.fim.template import FAMILIES, NATIVE, NONE, FimTemplate
from router.models.table import ModelTable
from router.replicas.registry import Replica

PATH = "/v1/completions"
TEXT = {
    "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "text": "x", "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip
QWEN = FAMILIES["qwen_coder"]


def replica_with(template: FimTemplate | None, engine: ScriptedEngine, name: str = "f1") -> Replica:
    """One that says how its model fills in."""
    replica = engine.replica(name)
    return Replica(
        name, "m", replica.host, replica.port, replica.secret, "llama_cpp", "llama_cpp",
        fim="" if template is None else template.encode(),
    )  # fmt: skip


def fim(**fields: object) -> dict[str, object]:
    return {"model": "m", "prompt": "def f(", "suffix": "): pass", **fields}


async def asked(door: Door, engine: ScriptedEngine, body: dict[str, object]) -> dict[str, object]:
    """What the engine is asked by a request that it answers."""
    engine.otherwise = [whole(TEXT)]
    answer = await door.post(body, PATH)
    assert 200 == answer.status, answer.body
    return engine.requests[-1].document


async def refused(door: Door, body: dict[str, object]) -> tuple[int, object, object]:
    answer: ClientAnswer = await door.post(body, PATH)
    return answer.status, answer.error["code"], answer.error["param"]


async def test_the_engine_gets_one_prompt_with_its_models_marks(door: Door, engine: ScriptedEngine) -> None:
    """No engine need know of `suffix`; what ends an answer is told to it, the client's own stops first."""
    door.serve_with(replica_with(QWEN, engine))
    body = await asked(door, engine, fim(stop="\n\n", max_tokens=9, temperature=0))
    assert {
        "model": "m",
        "prompt": "<|fim_prefix|>def f(<|fim_suffix|>): pass<|fim_middle|>",
        "stop": ["\n\n", *QWEN.stop, *QWEN.marks],
        "max_tokens": 9,
        "temperature": 0,
    } == body


async def test_every_prompt_of_a_list_gets_the_suffix(door: Door, engine: ScriptedEngine) -> None:
    """They are filled in one by one."""
    door.serve_with(replica_with(FAMILIES["codestral"], engine))
    assert ["[SUFFIX]z[PREFIX]a", "[SUFFIX]z[PREFIX]b"] == (
        await asked(door, engine, fim(prompt=["a", "b"], suffix="z", n=2))
    )["prompt"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 256),
        ({"max_tokens": 5}, 5),
        ({"options": {"num_predict": 512}}, 512),
        ({"options": {"num_predict": -1}}, 256),
    ],
)
async def test_an_answer_has_a_limit(
    fields: dict[str, object], expected: int, door: Door, engine: ScriptedEngine
) -> None:
    """Twinny names none, or as Ollama has it, and engines would stop after 16 tokens or never."""
    door.serve_with(replica_with(QWEN, engine))
    assert expected == (await asked(door, engine, fim(**fields)))["max_tokens"]


async def test_the_models_own_limit_goes_before(door: Door, engine: ScriptedEngine) -> None:
    """What the settings allow a completion is not raised by filling in."""
    door.set_route(limits={"max_completion_tokens": 20})
    door.serve_with(replica_with(QWEN, engine))
    assert 20 == (await asked(door, engine, fim()))["max_tokens"]


async def test_ids_of_what_ends_an_answer_are_told(door: Door, engine: ScriptedEngine) -> None:
    """Engines leave special tokens out of a text, so that no stop is found there."""
    template = FimTemplate("own", "<p>", "<s>", "<m>", stop_token_ids=(7, 8))
    door.serve_with(replica_with(template, engine))
    body = await asked(door, engine, fim())
    assert ("<p>def f(<s>): pass<m>", [7, 8]) == (body["prompt"], body["stop_token_ids"])


async def test_a_prompt_with_marks_of_the_clients_own_passes(door: Door, engine: ScriptedEngine) -> None:
    """Continue makes it by itself; only a limit is added where it names none."""
    door.serve_with(replica_with(QWEN, engine))
    body = {"model": "m", "prompt": "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>", "stop": ["\n"]}
    assert {**body, "max_tokens": 256} == await asked(door, engine, body)


async def test_marks_beside_an_empty_suffix_are_the_clients_own(door: Door, engine: ScriptedEngine) -> None:
    """They are not put between marks once more."""
    door.serve_with(replica_with(QWEN, engine))
    assert PROMPT_OF_QWEN == (await asked(door, engine, fim(prompt=PROMPT_OF_QWEN, suffix="")))["prompt"]


async def test_a_plain_completion_is_left_alone(door: Door, engine: ScriptedEngine) -> None:
    """Not a byte of it changes."""
    door.serve_with(replica_with(QWEN, engine))
    body: dict[str, object] = {"model": "m", "prompt": "<PRE>text</PRE>", "suffix": None}
    assert body == await asked(door, engine, body)


async def test_a_model_that_cannot_says_so(door: Door, engine: ScriptedEngine) -> None:
    """400 with the field's name, and the engine is not asked."""
    door.serve_with(replica_with(NONE, engine))
    assert (400, "unsupported_parameter", "suffix") == await refused(door, fim())
    assert [] == engine.requests


async def test_nothing_behind_the_cursor_is_a_plain_completion(door: Door, engine: ScriptedEngine) -> None:
    """A model that cannot fill in can go on with a text all the same."""
    door.serve_with(replica_with(NONE, engine))
    body = await asked(door, engine, fim(suffix=""))
    assert {"model": "m", "prompt": "def f(", "max_tokens": 256} == body


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"echo": True}, "unsupported_parameter", "echo"),
        ({"prompt": [1, 2, 3]}, "invalid_request", "prompt"),
        ({"prompt": [[1], [2]]}, "invalid_request", "prompt"),
        ({"suffix": 5}, "invalid_request", "suffix"),
    ],
)
async def test_what_cannot_be_filled_in(
    fields: dict[str, object], code: str, param: str, door: Door, engine: ScriptedEngine
) -> None:
    """The field is named."""
    door.serve_with(replica_with(QWEN, engine))
    assert (400, code, param) == await refused(door, fim(**fields))


async def test_an_engine_that_fills_in_by_itself_gets_both_texts(door: Door, engine: ScriptedEngine) -> None:
    """Ollama has templates of its own for it, and so may any address of others."""
    door.serve_with(replica_with(NATIVE, engine))
    assert {**fim(), "max_tokens": 256} == await asked(door, engine, fim())


async def test_the_settings_go_before_the_engine(door: Door, engine: ScriptedEngine) -> None:
    """For a model whose vocabulary has marks that it was not trained with, or none that is known."""
    door.set_route(fim={"template": "none"})
    door.serve_with(replica_with(QWEN, engine))
    assert (400, "unsupported_parameter", "suffix") == await refused(door, fim())
    door.set_route(fim={"marks": {"prefix": "<p>", "suffix": "<s>"}, "max_tokens": 33})
    body = await asked(door, engine, fim())
    assert ("<p>def f(<s>): pass", 33) == (body["prompt"], body["max_tokens"])


async def test_replicas_that_differ_are_asked_each_in_its_own_way(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A fallback of another family gets its own marks, once it is the one that is asked."""
    door.fall_back_on(replica_with(FAMILIES["codestral"], other_engine, "r2"))
    door.serve_with(replica_with(QWEN, engine))
    assert PROMPT_OF_QWEN == (await asked(door, engine, fim()))["prompt"]
    door.serve_with()
    assert "[SUFFIX]): pass[PREFIX]def f(" == (await asked(door, other_engine, fim()))["prompt"]


async def test_a_refused_suffix_is_no_try_of_a_replica_that_failed(door: Door, engine: ScriptedEngine) -> None:
    """It is refused before the engine is asked, so the next request may try whether that is back."""
    door.fall_back_on(replica_with(QWEN, engine, "r2"))
    recovering = replica_with(NONE, engine)
    recovering.breaker.failed(0.0, BreakerPolicy(first_pause_ms=1), 0.5, is_lost=True)
    door.serve_with(recovering)
    assert (400, "unsupported_parameter", "suffix") == await refused(door, fim())
    assert recovering.breaker.blocked_until < door.state.loop.time()


PROMPT_OF_QWEN = "<|fim_prefix|>def f(<|fim_suffix|>): pass<|fim_middle|>"


async def test_a_replica_that_comes_later_says_it_in_time(door: Door, engine: ScriptedEngine) -> None:
    """A model that sleeps has told nobody of its marks when it is asked."""
    door.serve_with()
    engine.otherwise = [whole(TEXT)]
    asking = asyncio.create_task(door.post(fim(), PATH))
    await eventually(lambda: bool(door.state.generations))
    door.serve_with(replica_with(QWEN, engine))
    assert (200, PROMPT_OF_QWEN) == ((await asking).status, engine.requests[-1].document["prompt"])


async def test_the_next_key_supersedes_whatever_the_template_is(door: Door, engine: ScriptedEngine) -> None:
    """Typists are told apart by what they typed; a template may put the text behind the cursor first, or in between."""
    door.serve_with(replica_with(QWEN, engine))
    gate = asyncio.Event()
    engine.otherwise = [gate, whole(TEXT)]
    older = asyncio.create_task(door.post(fim(prompt="def of_some("), PATH))
    await eventually(lambda: bool(engine.requests))
    newer = asyncio.create_task(door.post(fim(prompt="def of_some(a"), PATH))
    assert "true" == (await older).headers["x-enginehouse-superseded"]
    gate.set()
    assert None is (await newer).headers.get("x-enginehouse-superseded")


async def test_who_fills_in_where_the_model_cannot(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The model that the table names takes the request, and the answer says so."""
    models = {"m": ModelRoute(application=APPLICATION), "coder": ModelRoute(application="coder")}
    door.state.take_over_table(ModelTable(RouterUserConfig(models=models, fim_model="coder")))
    door.serve_with(replica_with(NONE, engine))
    door.state.take_over_replicas("coder", [replica_with(QWEN, other_engine, "r2")])
    other_engine.otherwise = [whole(TEXT)]
    answer = await door.post(fim(), PATH)
    assert "model=coder; application=coder" == answer.headers["x-enginehouse-route"]
    assert PROMPT_OF_QWEN == other_engine.requests[-1].document["prompt"]


async def test_equal_prompts_are_one_answer(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """The cache goes by what the engine reads, whoever has put the marks there."""
    door = await open_door(store=MemoryStore(10**6, 10**5))
    door.serve_with(
        Replica("r1", "m", "127.0.0.1", engine.port, "s", "llama_cpp", "llama_cpp", fim=QWEN.encode(), fingerprint="f")
    )
    engine.otherwise = [whole(TEXT)]
    made = {"prompt": PROMPT_OF_QWEN, "stop": [*QWEN.stop, *QWEN.marks], "max_tokens": 256}
    first = await door.post(fim(temperature=0), PATH)
    second = await door.post({"model": "m", "temperature": 0, **made}, PATH)
    assert ("miss", "hit") == (first.headers["x-enginehouse-cache"], second.headers["x-enginehouse-cache"])
    assert orjson.loads(first.body) == orjson.loads(second.body)
    assert 1 == len(engine.requests)


async def test_a_prompt_too_long_is_measured_with_what_is_behind_it(door: Door, engine: ScriptedEngine) -> None:
    """The bound is on what the engine would read."""
    door.set_route(limits={"max_prompt_tokens": 500})
    door.serve_with(replica_with(QWEN, engine))
    answer = await door.post(fim(suffix="x" * 4000), PATH)
    assert (400, "context_length_exceeded") == (answer.status, answer.error["code"])


async def test_a_broken_stream_goes_on_behind_the_prompt(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """What was said follows the marks, as if the second engine had said it itself."""
    door.serve_with(replica_with(QWEN, engine, "f1"))
    engine.script(STREAM_HEAD + chunk(part("a, ")), Ending.RESET, path=PATH)
    engine.otherwise = [Ending.RESET]
    asking = asyncio.create_task(door.post(fim(stream=True, max_tokens=9), PATH))
    await eventually(lambda: bool(engine.requests))
    door.serve_with(replica_with(QWEN, engine, "f1"), replica_with(QWEN, other_engine, "f2"))
    other_engine.script(whole({"tokens": [1]}), path="/tokenize")
    other_engine.script(stream(part("b"), part("", "stop"), DONE), path=PATH)
    answer = await asking
    [rest] = [request.document for request in other_engine.requests if request.path == PATH]
    assert (200, PROMPT_OF_QWEN + "a, ") == (answer.status, rest["prompt"])
    assert b"a, " in answer.body
    assert b"[DONE]" in answer.body


def part(said: str, finish: str | None = None) -> bytes:
    return event({**TEXT, "choices": [{"index": 0, "text": said, "finish_reason": finish}], "usage": None})
