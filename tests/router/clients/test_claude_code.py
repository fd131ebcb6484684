"""Claude Code itself against a router: a tool is called, its result is sent, and the answer is what it prints."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from door import Door, OpenDoor
from scripted_engine import Script, ScriptedEngine
from wire import DONE, USAGE_EVENT, event, stream, whole

from router.metrics import REQUESTS

PACKAGES = Path(os.environ.get("ENGINEHOUSE_TEST_CLIENTS", "")) / "node_modules/@anthropic-ai"
DEADLINE_S = 120
SECRET = "plum"
BUSY = whole({"error": {"message": "busy"}}, 503)
TOO_LONG = whole({"error": {"message": "request (9000 tokens) exceeds the available context size (512 tokens)"}}, 400)


def part(delta: dict[str, object], finish: str | None = None) -> bytes:
    """One event of a streamed chat completion."""
    return event({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def call_of_read(path: Path) -> bytes:
    """An answer that thinks, speaks, and calls the tool `Read`, its arguments cut in the middle."""
    arguments = json.dumps({"file_path": str(path)})
    begun = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "Read", "arguments": arguments[:9]}}
    rest = {"index": 0, "function": {"arguments": arguments[9:]}}
    return stream(
        part({"reasoning_content": "I should read it."}), part({"content": "I read it."}),
        part({"tool_calls": [begun]}), part({"tool_calls": [rest]}), part({}, "tool_calls"), USAGE_EVENT, DONE,
    )  # fmt: skip


def says(text: str) -> bytes:
    return stream(part({"content": text}), part({}, "stop"), USAGE_EVENT, DONE)


class ReadingEngine(ScriptedEngine):
    """Reads `file` before it answers, as a model with tools would. `first` are other answers, which it gives first."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self.first: list[bytes] = []

    def next_script(self, path: str) -> Script:  # noqa: ARG002 - the engine's signature
        if self.first:
            return [self.first.pop(0)]
        messages: Any = self.requests[-1].document["messages"]
        results = [message["content"] for message in messages if message["role"] == "tool"]
        if not results:
            return [call_of_read(self._file)]
        return [says(f"It is {SECRET}." if SECRET in results[-1] else "I do not know.")]


@pytest.fixture
async def reading_engine(tmp_path: Path) -> Any:
    file = tmp_path / "a.txt"
    file.write_text(f"The secret word is {SECRET}.\n", encoding="utf-8")
    engine = ReadingEngine(file)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def keyed_door(open_door: OpenDoor, reading_engine: ReadingEngine) -> Door:
    door = await open_door(keys=["k1"])
    door.serve_with(reading_engine.replica("r1"))
    return door


async def claude(door: Door, folder: Path, question: str) -> dict[str, Any]:
    """What the program says of one question, in a folder and with a home of its own."""
    home = folder / "home"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{door.port}",
        "ANTHROPIC_AUTH_TOKEN": "k1", "ANTHROPIC_MODEL": "m", "ANTHROPIC_DEFAULT_HAIKU_MODEL": "m",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }  # fmt: skip
    [program] = PACKAGES.glob("claude-code-*/claude")
    running = await asyncio.create_subprocess_exec(
        program, "-p", question, "--output-format", "json", cwd=folder, env=environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, errors = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert output.startswith(b"{"), (output, errors)
    said: dict[str, Any] = json.loads(output)
    return said


@pytest.mark.parametrize("num_busy", [0, 1])
async def test_a_round_of_tools(num_busy: int, keyed_door: Door, reading_engine: ReadingEngine, tmp_path: Path) -> None:
    """Thinking, words and a call; the tool's result; the answer. An engine that is busy is asked again."""
    reading_engine.first = [BUSY] * num_busy
    said = await claude(keyed_door, tmp_path, "What is the secret word in a.txt?")
    assert (f"It is {SECRET}.", "end_turn", False) == (said["result"], said["stop_reason"], said["is_error"])
    assert num_busy == keyed_door.sink.total(REQUESTS, route="/v1/messages", code="engine_overloaded")
    last: Any = reading_engine.requests[-1].document["messages"]
    assert ["system", "user", "assistant", "tool"] == [message["role"] for message in last]
    assert ("I read it.", "I should read it.") == (last[2]["content"], last[2]["reasoning_content"])
    assert "billing" not in last[0]["content"][:200]


async def test_a_prompt_that_does_not_fit(keyed_door: Door, reading_engine: ReadingEngine, tmp_path: Path) -> None:
    """Is known for what it is."""
    reading_engine.first = [TOO_LONG]
    said = await claude(keyed_door, tmp_path, "Hello?")
    assert ("prompt_too_long", 400) == (said["terminal_reason"], said["api_error_status"])
