"""`/infill` through a real router, as llama.vscode asks it, and an engine that answers by script."""

import asyncio

import orjson
import pytest
from door import APPLICATION, Door, OpenDoor
from polling import eventually
from raw_client import ClientAnswer, request
from scripted_engine import ScriptedEngine
from wire import DONE, LAST_CHUNK, STREAM_HEAD, chunk, event, stream

from cache.memory_store import MemoryStore
from configs.router import ModelRoute, RouterUserConfig
from router.fim.template import FAMILIES, NATIVE, NONE, ExtraFile, FimTemplate
from router.generation import Generation
from router.models.table import ModelTable
from router.replicas.registry import Replica
from router.wire_apis.infill.requests import Asked, cut_to_fit

QWEN = FAMILIES["qwen_coder"]
HEAD: dict[str, object] = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
USAGE: dict[str, object] = {
    "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "prompt_tokens_details": {"cached_tokens": 4},
}  # fmt: skip
# What llama.vscode 0.0.63 sends while somebody types.
TYPED: dict[str, object] = {
    "id_slot": 0,
    "input_prefix": "def add(a, b):\n",
    "input_suffix": "\n",
    "input_extra": [{"text": "def sub(a, b): ...", "time": 1, "filename": "sub.py"}],
    "prompt": "    return ",
    "n_predict": 128,
    "top_k": 40,
    "top_p": 0.99,
    "stream": False,
    "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True,
    "n_indent": 4,
    "t_max_prompt_ms": 500_000,
    "t_max_predict_ms": 500_000,
    "model": "google/gemini-2.5-flash",
}


def text(said: str, index: int = 0, finish: str | None = None) -> bytes:
    return event({**HEAD, "choices": [{"index": index, "text": said, "logprobs": None, "finish_reason": finish}]})


USED = event({**HEAD, "choices": [], "usage": USAGE})
WHOLE = stream(text("a +"), text(" b"), text("", finish="stop"), USED, DONE)


def replica(engine: ScriptedEngine, template: FimTemplate, name: str = "f1", max_model_len: int = 4096) -> Replica:
    return Replica(
        name, "m", "127.0.0.1", engine.port, "s", "llama_cpp", "llama_cpp",
        max_model_len=max_model_len, fim=template.encode(),
    )  # fmt: skip


@pytest.fixture
async def coder(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router whose one model, `m`, fills in by Qwen's marks."""
    door = await open_door()
    door.serve_with(replica(engine, QWEN))
    engine.otherwise = [WHOLE]
    return door


async def ask(door: Door, **changes: object) -> ClientAnswer:
    body = {name: value for name, value in {**TYPED, **changes}.items() if value is not None}
    return await door.post(body, "/infill")


async def test_the_answer_is_llama_cpps(coder: Door) -> None:
    """With everything that llama.vscode reads of it."""
    answer = await ask(coder)
    document = orjson.loads(answer.body)
    timings = document.pop("timings")
    assert {
        "index": 0, "content": "a + b", "tokens": [], "id_slot": -1, "stop": True, "model": "m",
        "tokens_predicted": 2, "tokens_evaluated": 9,
        "generation_settings": {
            "top_p": 0.99, "top_k": 40, "samplers": ["top_k", "top_p", "infill"], "n_indent": 4, "cache_prompt": True,
            "n_ctx": 4096, "n_predict": 128, "max_tokens": 128, "stream": False,
        },
        "prompt": "", "has_new_line": False, "truncated": False, "stop_type": "eos", "stopping_word": "",
        "tokens_cached": 11,
    } == document  # fmt: skip
    assert (4, 5, 2) == (timings["cache_n"], timings["prompt_n"], timings["predicted_n"])


async def test_the_engine_reads_one_prompt(coder: Door, engine: ScriptedEngine) -> None:
    """Other files first, then what is before the cursor with the line that is being typed, then what is behind it."""
    await ask(coder)
    body = engine.requests[-1].document
    assert "/v1/completions" == engine.requests[-1].path
    assert (
        "<|repo_name|>project\n<|file_sep|>sub.py\ndef sub(a, b): ...\n<|file_sep|>file\n"
        "<|fim_prefix|>def add(a, b):\n    return <|fim_suffix|>\n<|fim_middle|>"
    ) == body["prompt"]
    assert (128, True, "m") == (body["max_tokens"], body["stream"], body["model"])
    assert not {"suffix", "input_prefix", "id_slot", "t_max_predict_ms", "n_predict"} & body.keys()


async def test_several_answers_are_a_list(coder: Door, engine: ScriptedEngine) -> None:
    """Each with its own text, as llama.cpp gives them."""
    engine.script(stream(text("x"), text("y", 1), text("", 1, "stop"), text("z", 0, "length"), USED, DONE))
    documents = orjson.loads((await ask(coder, n_cmpl=2)).body)
    assert 2 == engine.requests[-1].document["n"]
    assert [(0, "xz", "limit", 2), (1, "y", "eos", 1)] == [
        (one["index"], one["content"], one["stop_type"], one["tokens_predicted"]) for one in documents
    ]


async def test_a_stream_is_llama_cpps(coder: Door) -> None:
    """Parts with their text, a last event with all the rest, and no end mark."""
    answer = await ask(coder, stream=True)
    events = [orjson.loads(one.removeprefix(b"data: ")) for one in answer.body.strip().split(b"\n\n")]
    assert [("a +", False), (" b", False), ("", True)] == [(one["content"], one["stop"]) for one in events]
    assert (4096, "text/event-stream; charset=utf-8") == (
        events[-1]["generation_settings"]["n_ctx"],
        answer.headers["content-type"],
    )


async def test_a_prefetch_is_read_and_says_nothing(coder: Door, engine: ScriptedEngine) -> None:
    """The engine keeps the prompt in its KV cache; one token is the least that engines generate."""
    engine.script(stream(text("a"), text("", finish="length"), USED, DONE))
    answer = await ask(coder, n_predict=0, samplers=[], t_max_prompt_ms=1, t_max_predict_ms=1, n_cmpl=3)
    body = engine.requests[-1].document
    assert (200, "", 1, None) == (
        answer.status,
        orjson.loads(answer.body)["content"],
        body["max_tokens"],
        body.get("n"),
    )


async def test_time_is_out_while_the_engine_reads(coder: Door, engine: ScriptedEngine) -> None:
    """Nobody waits for it any more: the client has an answer that says nothing, and the engine stops."""
    engine.script(asyncio.Event())
    answer = await ask(coder, t_max_prompt_ms=30)
    assert (200, "", "limit") == (
        answer.status,
        orjson.loads(answer.body)["content"],
        orjson.loads(answer.body)["stop_type"],
    )
    await eventually(lambda: engine.num_open == 0)


async def test_time_is_out_while_the_engine_writes(coder: Door, engine: ScriptedEngine) -> None:
    """What is there by then is the answer."""
    engine.script(STREAM_HEAD + chunk(text("a + b\n")) + chunk(text("retu")), asyncio.Event())
    answer = await ask(coder, t_max_predict_ms=30)
    assert (200, "a + b\nretu") == (answer.status, orjson.loads(answer.body)["content"])
    await eventually(lambda: engine.num_open == 0)


def is_out_of_time(generation: object) -> bool:
    return getattr(getattr(generation, "_infill", None), "_is_out_of_time", False)


async def test_the_first_line_is_never_cut(coder: Door, engine: ScriptedEngine) -> None:
    """llama.cpp counts the time, and stops behind the line's end."""
    gate = asyncio.Event()
    engine.script(STREAM_HEAD + chunk(text("a ")), gate, chunk(text("+ b\n")), asyncio.Event())
    asking = asyncio.create_task(ask(coder, t_max_predict_ms=1))
    await eventually(lambda: any(is_out_of_time(one) for one in coder.state.generations))
    assert not asking.done()
    gate.set()
    assert "a + b\n" == orjson.loads((await asking).body)["content"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input_prefix": None}, "input_prefix"),
        ({"input_suffix": 5}, "input_suffix"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"input_extra": "x"}, "input_extra"),
        ({"input_extra": [{"text": 5}]}, "input_extra[0].text"),
        ({"input_extra": [{"text": "a"}, {"text": "b", "filename": 1}]}, "input_extra[1].filename"),
        ({"n_predict": -2}, "n_predict"),
        ({"n_predict": True}, "n_predict"),
        ({"n_cmpl": 0}, "n_cmpl"),
        ({"t_max_predict_ms": "1"}, "t_max_predict_ms"),
        ({"stream": "yes"}, "stream"),
        ({"model": 5}, "model"),
        ({"top_p": 2}, "top_p"),
    ],
)
async def test_bad_fields_are_named(changes: dict[str, object], param: str, coder: Door) -> None:
    """By the names that they have here."""
    answer = await ask(coder, **changes)
    assert (400, param) == (answer.status, answer.error["param"])


async def test_a_model_that_cannot_names_its_field(coder: Door, engine: ScriptedEngine) -> None:
    """In the words of this route."""
    coder.serve_with(replica(engine, NONE, "f2"))
    answer = await ask(coder, model="m")
    assert (400, "input_suffix", True) == (
        answer.status,
        answer.error["param"],
        "`input_suffix`" in str(answer.error["message"]),
    )


async def test_an_unknown_model_is_not_found_where_nobody_fills_in(coder: Door, engine: ScriptedEngine) -> None:
    """There is nobody to fall back on."""
    coder.serve_with(replica(engine, NONE, "f2"))
    answer = await ask(coder)
    assert (404, "model_not_found") == (answer.status, answer.error["code"])


@pytest.mark.parametrize(("named", "fim_model"), [("m", None), ("nobody", "coder"), (None, "coder"), ("", None)])
async def test_who_fills_in(
    named: str | None, fim_model: str | None, coder: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A model that cannot, or that is nobody's, is replaced by one that can."""
    models = {"m": ModelRoute(application=APPLICATION), "coder": ModelRoute(application="coder")}
    coder.state.take_over_table(ModelTable(RouterUserConfig(models=models, fim_model=fim_model)))
    coder.serve_with(replica(engine, NONE, "f2"))
    coder.state.take_over_replicas("coder", [replica(other_engine, QWEN, "r2")])
    other_engine.otherwise = [WHOLE]
    document = orjson.loads((await ask(coder, model=named)).body)
    assert ("a + b", "coder") == (document["content"], document["model"])


async def test_an_engine_that_takes_both_texts_apart_fills_in_too(coder: Door, engine: ScriptedEngine) -> None:
    """Ollama says so by its template; other files go before the text as they are."""
    coder.serve_with(replica(engine, NATIVE, "f2"))
    document = orjson.loads((await ask(coder)).body)
    body = engine.requests[-1].document
    assert ("a + b", "def sub(a, b): ...\n\ndef add(a, b):\n    return ", "\n") == (
        document["content"],
        body["prompt"],
        body["suffix"],
    )


async def test_nobody_knows_whether_an_engine_can(coder: Door, engine: ScriptedEngine) -> None:
    """It is asked by its own name only, and judges the request by itself."""
    coder.serve_with(engine.replica("f2"))
    assert [404, 200] == [(await ask(coder)).status, (await ask(coder, model="m")).status]


async def test_what_does_not_fit_is_left_out(coder: Door, engine: ScriptedEngine) -> None:
    """A long file is cut around the cursor, and the answer says so."""
    coder.serve_with(replica(engine, QWEN, "f2", max_model_len=512))
    answer = await ask(coder, input_prefix="x" * 100_000, n_predict=64, input_suffix="y" * 100_000)
    prompt = str(engine.requests[-1].document["prompt"])
    assert (200, True) == (answer.status, orjson.loads(answer.body)["truncated"])
    assert len(prompt) < 3 * 512
    assert "x    return <|fim_suffix|>y" in prompt


async def test_the_path_below_v1_is_the_same(coder: Door) -> None:
    """For clients whose address ends with it."""
    answer = await coder.post(TYPED, "/v1/infill")
    assert "a + b" == orjson.loads(answer.body)["content"]


async def test_a_table_that_comes_meanwhile_is_for_the_next(coder: Door) -> None:
    """A request that had begun to arrive is answered by the table that it found, and that one alone."""
    body = orjson.dumps(TYPED)
    with await coder.client() as client:
        await client.send(request("POST", "/infill", {"content-length": str(len(body)), "expect": "100-continue"}))
        await client.until(b"100 Continue\r\n\r\n")  # the router waits for the body
        other = RouterUserConfig(models={"other": ModelRoute(application=APPLICATION)})
        coder.state.take_over_table(ModelTable(other))
        await client.send(body)
        old = await client.answer()
    assert [(200, "m"), (200, "other")] == [
        (answer.status, orjson.loads(answer.body).get("model")) for answer in (old, await ask(coder))
    ]


async def test_a_superseded_one_is_empty(coder: Door, engine: ScriptedEngine) -> None:
    """Also where a part of it was there: that would be taken for all there is."""
    gate = asyncio.Event()
    engine.otherwise = [STREAM_HEAD, chunk(text("a +")), gate, chunk(text("", finish="stop") + DONE), LAST_CHUNK]
    older = asyncio.create_task(ask(coder))
    await eventually(lambda: any(one._answer.has_content for one in generations(coder)))
    newer = asyncio.create_task(ask(coder, prompt="    return a"))
    answer = await older
    gate.set()
    await newer
    assert ("true", "", "eos") == (
        answer.headers["x-enginehouse-superseded"],
        orjson.loads(answer.body)["content"],
        orjson.loads(answer.body)["stop_type"],
    )


def generations(door: Door) -> list[Generation]:
    return [one for one in door.state.generations if isinstance(one, Generation)]


async def test_a_model_of_two_families_fills_in(coder: Door, engine: ScriptedEngine) -> None:
    """It is found without its name, as long as none of its engines is known to be unable."""
    coder.fall_back_on(replica(engine, FAMILIES["codestral"], "f2"))
    assert 200 == (await ask(coder)).status
    coder.fall_back_on(replica(engine, NONE, "f3"))
    assert 404 == (await ask(coder)).status


async def test_other_files_make_another_answer(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Also where the prompt is made late, since the model's applications know different marks."""
    door = await open_door(store=MemoryStore(10**6, 10**5))
    door.fall_back_on(replica(engine, FAMILIES["codestral"], "f2"))
    own = replica(engine, QWEN)
    own.fingerprint = "f"
    door.serve_with(own)
    engine.otherwise = [WHOLE]
    files = [[{"filename": "a.py", "text": text}] for text in ("A = 1", "A = 2", "A = 2")]
    answers = [await ask(door, temperature=0, input_extra=extra) for extra in files]
    assert ["miss", "miss", "hit"] == [answer.headers["x-enginehouse-cache"] for answer in answers]


async def test_an_engine_that_breaks_is_an_error(coder: Door, engine: ScriptedEngine) -> None:
    """And no half of an answer."""
    coder.set_route(reliability={"resume": {"enabled": False}})
    engine.script(
        STREAM_HEAD + chunk(text("a +")) + chunk(event({"error": {"code": 500, "message": "out"}})) + LAST_CHUNK
    )
    answer = await ask(coder)
    assert (500, "engine_failed") == (answer.status, answer.error["code"])


def asked(before: str, behind: str, *extra: ExtraFile) -> Asked:
    return Asked(before, behind, extra, 0, 1, None, None, is_stream=False, sampling={})


@pytest.mark.parametrize(
    ("before", "behind", "expected"),
    [
        ("a" * 2000, "b" * 2000, (750, 250)),
        ("a" * 2000, "b" * 10, (990, 10)),
        ("a" * 10, "b" * 2000, (10, 990)),
        ("a" * 10, "b" * 10, (10, 10)),
    ],
)
def test_the_nearest_text_is_kept(before: str, behind: str, expected: tuple[int, int]) -> None:
    """Three parts before the cursor to one behind it, and more where the other needs less."""
    cut = cut_to_fit(asked(before, behind), 16 + 334)
    assert expected == (min(len(cut.before), expected[0]), min(len(cut.behind), expected[1]))
    assert len(cut.before) + len(cut.behind) <= 1002


def test_the_last_of_the_other_files_are_kept() -> None:
    """Clients send the most useful last."""
    files = [ExtraFile(f"{number}", "x" * 400) for number in range(4)]
    cut = cut_to_fit(asked("a", "b", *files), 16 + 334)
    assert (("2", "3"), True) == (tuple(one.name for one in cut.extra), cut.is_cut)


def test_letters_are_not_cut_in_two() -> None:
    """A text that is cut within a letter loses it whole."""
    cut = cut_to_fit(asked("ü" * 1001, ""), 16 + 333)
    assert {"ü"} == set(cut.before)
