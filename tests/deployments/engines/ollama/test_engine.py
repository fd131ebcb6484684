"""`deployments/engines/ollama*.py` with the stand-in as Ollama: starting, downloading, and every way not to start."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "standins/ollama"))

from ollama_standin_files import make_model, make_program

from configs.engine import OllamaSettings
from deployments.engines import runtime
from deployments.engines.contract import EngineAddress
from deployments.engines.errors import EngineStartError
from deployments.engines.ollama.engine import OllamaEngine
from deployments.engines.ollama.models import with_tag
from deployments.engines.ports import free_port, is_port_taken
from deployments.engines.runtime import EngineRuntime
from deployments.engines.swap.sleeping import put_to_sleep, wake

StartEngine = Callable[..., Awaitable[EngineRuntime]]
Connect = Callable[[EngineRuntime], Awaitable[aiohttp.ClientSession]]
SettingsFor = Callable[..., OllamaSettings]


@pytest.fixture
def settings_for(tmp_path: Path) -> SettingsFor:
    """Settings of an Ollama with the model `tiny:1b`; failures of the stand-in go into its environment."""
    make_model(tmp_path / "models", "tiny:1b")
    program = make_program(tmp_path)

    def make(**fields: Any) -> OllamaSettings:
        base = {"executable": str(program), "models_folder": str(tmp_path / "models"), "start_timeout_s": 60}
        return OllamaSettings(engine="ollama", model="m", **{"model_source": "tiny:1b", **base, **fields})

    return make


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of an Ollama that others run, with the model `tiny:1b` and its own default context of 4096."""
    make_model(tmp_path / "theirs", "tiny:1b", context=8192)
    port = free_port("127.0.0.1")
    environment = {**os.environ, "OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(tmp_path / "theirs")}
    with subprocess.Popen([make_program(tmp_path), "serve"], env=environment) as process:
        deadline = time.monotonic() + 60
        while not is_port_taken("127.0.0.1", port):
            assert time.monotonic() < deadline, "it does not listen"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.kill()


async def ask(session: aiohttp.ClientSession, **fields: Any) -> tuple[int, dict[str, Any]]:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, **fields}
    async with session.post("/v1/chat/completions", json=body) as response:
        return response.status, await response.json()


# its command


def test_the_command_says_all_in_ollamas_variables() -> None:
    """Address, folder, context and slots are set under the names that `ollama serve` reads."""
    settings = OllamaSettings(
        engine="ollama", model="m", model_source="a", models_folder="/models", max_model_len=8192, max_num_seqs=3
    )
    command = OllamaEngine(settings).command(EngineAddress("127.0.0.1", 7000, "s3cr3t"))

    assert ("ollama", "serve") == command.argv
    assert {
        "OLLAMA_HOST": "127.0.0.1:7000",
        "OLLAMA_MODELS": "/models",
        "OLLAMA_CONTEXT_LENGTH": "8192",
        "OLLAMA_NUM_PARALLEL": "3",
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
    } == command.environment


def test_what_is_not_set_is_left_to_ollama() -> None:
    """Without settings Ollama chooses folder, context and slots."""
    command = OllamaEngine(OllamaSettings(engine="ollama", model="m", model_source="a")).command(
        EngineAddress("127.0.0.1", 7000, "s3cr3t")
    )

    assert set() == {"OLLAMA_MODELS", "OLLAMA_CONTEXT_LENGTH", "OLLAMA_NUM_PARALLEL"} & set(command.environment)


def test_the_settings_have_the_last_word() -> None:
    """A variable in `environment` replaces ours."""
    settings = OllamaSettings(engine="ollama", model="m", model_source="a", environment={"OLLAMA_KEEP_ALIVE": "5m"})
    command = OllamaEngine(settings).command(EngineAddress("127.0.0.1", 7000, "s3cr3t"))

    assert "5m" == command.environment["OLLAMA_KEEP_ALIVE"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tiny", "tiny:latest"),
        ("tiny:1b", "tiny:1b"),
        ("hf.co/some/model", "hf.co/some/model:latest"),
        ("host:5000/some/model", "host:5000/some/model:latest"),
    ],
)
def test_a_name_without_a_tag_means_the_latest(name: str, expected: str) -> None:
    """As in Ollama's own commands."""
    assert expected == with_tag(name)


# starting


async def test_a_model_that_is_there_is_loaded(
    start_engine: StartEngine, settings_for: SettingsFor, phases: list[str]
) -> None:
    """A start goes from loading the program to loading the model, and takes over the context that it really has."""
    engine = await start_engine(settings_for())

    assert ["starting", "loading", "loading tiny:1b into memory", "warming", "ready"] == phases
    assert 4096 == engine.max_model_len


async def test_a_missing_model_is_pulled_with_progress(
    start_engine: StartEngine, settings_for: SettingsFor, phases: list[str], connect: Connect
) -> None:
    """Progress is told in percent of all that is known to come, never less than before; then the model answers."""
    engine = await start_engine(settings_for(model_source="new", environment={"STANDIN_REGISTRY": "new"}))
    pulling = [phase.removeprefix("pulling new:latest, ") for phase in phases if phase.startswith("pulling")]

    assert ["0 %", "25 %", "50 %", "75 %", "100 %", "verifying sha256 digest", "writing manifest"] == pulling
    assert 200 == (await ask(await connect(engine)))[0]


async def test_a_running_ollama_is_used_where_it_is(
    start_engine: StartEngine, elsewhere: str, connect: Connect
) -> None:
    """With `base_url` nothing is started, and the model answers under our name."""
    settings = OllamaSettings(engine="ollama", model="m", model_source="tiny:1b", base_url=elsewhere)
    engine = await start_engine(settings)
    status, answer = await ask(await connect(engine))

    assert (None, 200, "m", 4096) == (engine.pid, status, answer["model"], engine.max_model_len)


async def test_old_streams_lose_their_accent(
    start_engine: StartEngine, settings_for: SettingsFor, connect: Connect
) -> None:
    """What version 0.5.7 streams is what OpenAI would."""
    engine = await start_engine(settings_for(environment={"STANDIN_OLD": "1"}))
    session = await connect(engine)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "stream": True}
    text = await (await session.post("/v1/chat/completions", json=body)).text()

    assert (1, True) == (text.count('"role"'), text.endswith("data: [DONE]\n\n"))


async def test_a_stream_that_breaks_inside_ollama_is_an_error(
    start_engine: StartEngine, settings_for: SettingsFor, connect: Connect
) -> None:
    """Ollama turns its errors within a stream into empty events: the missing end mark tells them."""
    engine = await start_engine(settings_for(environment={"STANDIN_BREAKS_AFTER": "2"}))
    session = await connect(engine)
    body = {"model": "m", "prompt": "Hi", "max_tokens": 9, "stream": True}
    text = ""
    async with session.post("/v1/completions", json=body) as response:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            async for line in response.content:
                text += line.decode()

    assert (True, False) == ("without saying that it was done" in text, "[DONE]" in text)


@pytest.mark.parametrize("task", ["generate", "embed"])
async def test_it_sleeps_by_unloading(
    start_engine: StartEngine, settings_for: SettingsFor, tmp_path: Path, task: Literal["generate", "embed"]
) -> None:
    """The memory is free, and the model is loaded again when it wakes. Its process stays."""
    make_model(tmp_path / "models", "tiny:embed", capabilities=("embedding",))
    source = "tiny:embed" if task == "embed" else "tiny:1b"
    runtime = await start_engine(settings_for(model_source=source, task=task))
    mode, pid = runtime.sleep_mode, runtime.pid
    assert mode is not None

    async def loaded() -> list[str]:
        async with aiohttp.ClientSession() as session, session.get(mode.url + "/api/ps") as answer:
            return [model["name"] for model in (await answer.json())["models"]]

    assert [source] == await loaded()
    await put_to_sleep(mode, timeout_s=30)
    assert [] == await loaded()
    await wake(mode, timeout_s=30)
    assert ([source], pid) == (await loaded(), runtime.pid)


async def test_an_embedding_model_embeds(
    start_engine: StartEngine, elsewhere: str, tmp_path: Path, connect: Connect
) -> None:
    """With `task: embed` a model that cannot generate is loaded, and embeds."""
    make_model(tmp_path / "theirs", "embed:1b", capabilities=("embedding",))
    engine = await start_engine(
        OllamaSettings(engine="ollama", model="m", model_source="embed:1b", base_url=elsewhere, task="embed")
    )
    body = {"model": "m", "input": ["a", "b"]}
    async with (await connect(engine)).post("/v1/embeddings", json=body) as response:
        answer = await response.json()

    assert (4096, "m", 2) == (engine.max_model_len, answer["model"], len(answer["data"]))


async def test_an_embedding_model_with_another_task_is_told(
    start_engine: StartEngine, elsewhere: str, tmp_path: Path
) -> None:
    """A model that cannot generate does not start as one that can; the message names the setting."""
    make_model(tmp_path / "theirs", "embed:1b", capabilities=("embedding",))
    settings = OllamaSettings(engine="ollama", model="m", model_source="embed:1b", base_url=elsewhere)
    with pytest.raises(EngineStartError, match="embed:1b only embeds; set task: embed"):
        await start_engine(settings)


# not starting


async def test_a_missing_program_is_named(start_engine: StartEngine, settings_for: SettingsFor) -> None:
    """An `ollama` that is not installed fails the start at once, by its name."""
    with pytest.raises(EngineStartError, match="cannot execute no-such-ollama: no such program on the PATH"):
        await start_engine(settings_for(executable="no-such-ollama"))


async def test_a_missing_model_that_is_not_to_be_pulled_is_named(
    start_engine: StartEngine, settings_for: SettingsFor
) -> None:
    """`pull: never` ends with what is missing, what there is, and what to do."""
    with pytest.raises(EngineStartError) as failure:
        await start_engine(settings_for(model_source="big", pull="never"))

    assert "has no model 'big'; it has: tiny:1b. Run `ollama pull big` on this node" in failure.value.message


async def test_a_pull_without_internet_says_what_to_do(start_engine: StartEngine, settings_for: SettingsFor) -> None:
    """Ollama's own words, and the way to go without internet."""
    with pytest.raises(EngineStartError) as failure:
        await start_engine(settings_for(model_source="big"))

    assert "cannot download big:latest: pull model manifest:" in failure.value.message
    assert "no such host. Without internet, copy the model's files" in failure.value.message


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"STANDIN_REGISTRY": "other"}, "pull model manifest: file does not exist"),
        ({"STANDIN_REGISTRY": "big", "STANDIN_PULL_FAILS": "no space left on device"}, "no space left on device"),
    ],
)
async def test_a_failed_pull_is_told(
    start_engine: StartEngine, settings_for: SettingsFor, environment: dict[str, str], reason: str
) -> None:
    """A name that the registry does not know, and a download that breaks off, end with Ollama's words."""
    with pytest.raises(EngineStartError, match=reason):
        await start_engine(settings_for(model_source="big", environment=environment))


async def test_a_model_that_cannot_be_loaded_is_told(start_engine: StartEngine, settings_for: SettingsFor) -> None:
    """Ollama's reason is ours."""
    reason = "model requires more system memory (20.0 GiB) than is available (3.1 GiB)"
    with pytest.raises(EngineStartError) as failure:
        await start_engine(settings_for(environment={"STANDIN_LOAD_FAILS": reason}))

    assert f"Ollama cannot load tiny:1b: {reason}" == failure.value.message


async def test_a_context_that_requests_do_not_get_is_refused(
    start_engine: StartEngine, settings_for: SettingsFor
) -> None:
    """A model that was trained for less than `max_model_len` does not start: Ollama would cut prompts in silence."""
    with pytest.raises(EngineStartError) as failure:
        await start_engine(settings_for(max_model_len=9000))

    assert (
        "max_model_len is 9000, but Ollama gives tiny:1b a context of 8192 tokens. Lower max_model_len"
        == failure.value.message
    )


async def test_a_running_ollama_with_less_context_is_refused(start_engine: StartEngine, elsewhere: str) -> None:
    """The context of one that others run can only be changed there: the message says how."""
    settings = OllamaSettings(
        engine="ollama", model="m", model_source="tiny:1b", base_url=elsewhere, max_model_len=8192
    )
    with pytest.raises(EngineStartError, match="start that Ollama with OLLAMA_CONTEXT_LENGTH=8192"):
        await start_engine(settings)


async def test_one_that_never_listens_is_told_with_its_last_lines(
    start_engine: StartEngine, settings_for: SettingsFor
) -> None:
    """After `start_timeout_s` the start fails with what Ollama printed."""
    settings = settings_for(start_timeout_s=2, environment={"STANDIN_DEAF": "1"})
    with pytest.raises(EngineStartError, match=r"m was not ready after 2 s; its last lines:\n  looking for compatible"):
        await start_engine(settings)


async def test_nobody_at_the_address_is_told(start_engine: StartEngine) -> None:
    """An Ollama that does not run is named by its address."""
    settings = OllamaSettings(
        engine="ollama", model="m", model_source="a", base_url="http://127.0.0.1:1", start_timeout_s=1
    )
    with pytest.raises(EngineStartError, match=r"m was not ready after 1 s; http://127\.0\.0\.1:1 does not answer"):
        await start_engine(settings)


async def test_a_taken_port_is_replaced(
    start_engine: StartEngine, settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another program takes the port before Ollama binds it, another port is tried."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        ports = [taken]
        monkeypatch.setattr(runtime, "free_port", lambda host: ports.pop() if ports else free_port(host))
        engine = await start_engine(settings_for())

    assert engine.pid is not None


async def test_a_port_that_is_always_taken_is_told(
    start_engine: StartEngine, settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search for a port ends, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setattr(runtime, "free_port", lambda _: taken)
        with pytest.raises(EngineStartError, match="5 ports in a row were taken"):
            await start_engine(settings_for())


async def test_an_interrupted_download_names_itself(
    start_engine: StartEngine, settings_for: SettingsFor, tmp_path: Path
) -> None:
    """A start that times out within a long piece of work says within which."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import ollama_server, ollama_store, time\n"
        "def pull(self, name):\n"
        "    yield {'status': 'pulling a', 'digest': 'a', 'total': 100, 'completed': 34}\n"
        "    time.sleep(600)\n"
        "ollama_store.Store.pull = pull\n"
        "ollama_server.main()\n"
    )
    program = tmp_path / "ollama"
    standin = Path(__file__).parents[2] / "standins/ollama"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{standin}" exec "{sys.executable}" "{slow}" "$@"\n')
    with pytest.raises(EngineStartError, match="not ready after 3 s, while pulling big:latest, 34 %"):
        await start_engine(settings_for(model_source="big", start_timeout_s=3))
