"""Cline itself against a router: set up by the command that is printed, it calls a tool and answers."""

import os
import shlex
from pathlib import Path

import pytest
from calling_engine import ANSWER, CallingEngine, call_of
from door import Door
from engines_behind_doors import said_by
from printed_settings import setup_of
from programs import run
from wire import whole

from deployments.editors.registry import CLIENTS
from router.metrics import REQUESTS

PROGRAM = Path(os.environ.get("ENGINEHOUSE_TEST_CLIENTS", "")) / "node_modules/.bin/cline"
DEADLINE_S = 120
BUSY = whole({"error": {"message": "busy"}}, 503)


async def cline(folder: Path, *arguments: str) -> str:
    """What the program prints, in a folder and with a home of its own."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home")}
    exit_code, output, errors = await run(
        PROGRAM, *arguments, "--data-dir", str(folder / "home/data"),
        folder=folder, environment=environment, deadline_s=DEADLINE_S,
    )  # fmt: skip
    assert 0 == exit_code, (output, errors)
    return output.decode()


@pytest.mark.parametrize("num_busy", [0, 1])
async def test_a_round_of_tools(num_busy: int, keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Thinking, words and a call; the tool's result; the answer. An engine that is busy is asked again."""
    (tmp_path / "home").mkdir()
    calling_engine.call = call_of("read_files", {"paths": [str(tmp_path / "a.txt")]})
    calling_engine.first = [BUSY] * num_busy
    _, printed = CLIENTS["cline"].settings(setup_of(keyed_door))
    program, *arguments = shlex.split(printed.text)
    assert "cline" == program
    await cline(tmp_path, *arguments)
    assert ANSWER in await cline(tmp_path, "-P", "openai", "-m", "m", "What is the secret word in a.txt?")
    assert num_busy == keyed_door.sink.total(REQUESTS, route="/v1/chat/completions", code="engine_overloaded")
    assert ["system", "user", "assistant", "tool"] == [each["role"] for each in calling_engine.last_messages]


async def test_whichever_engine_answers(engine_door: Door, tmp_path: Path) -> None:
    """What the engine says is printed. The simulated one has words of its own."""
    (tmp_path / "home").mkdir()
    _, printed = CLIENTS["cline"].settings(setup_of(engine_door))
    await cline(tmp_path, *shlex.split(printed.text)[1:])
    printed_answer = await cline(tmp_path, "-P", "openai", "-m", "m", "ANSWER:It is plum.")
    assert said_by(engine_door.replicas[0], printed_answer)
