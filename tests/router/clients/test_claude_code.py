"""Claude Code itself against a router: a tool is called, its result is sent, and the answer is what it prints."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from calling_engine import ANSWER, CallingEngine, call_of
from door import Door
from engines_behind_doors import said_by
from printed_settings import setup_of
from programs import run
from scripted_engine import EngineRequest
from wire import whole

from deployments.editors.registry import CLIENTS
from router.metrics import REQUESTS

MCP_SERVER = Path(__file__).parents[1] / "support/mcp_server.py"
PACKAGES = Path(os.environ.get("ENGINEHOUSE_TEST_CLIENTS", "")) / "node_modules/@anthropic-ai"
DEADLINE_S = 120
BUSY = whole({"error": {"message": "busy"}}, 503)
TOO_LONG = whole({"error": {"message": "request (9000 tokens) exceeds the available context size (512 tokens)"}}, 400)


async def claude(door: Door, folder: Path, question: str, *options: str) -> dict[str, Any]:
    """What the program says of one question, in a folder and with a home of its own, set up as `editors` prints."""
    home = folder / "home"
    home.mkdir()
    [settings] = CLIENTS["claude-code"].settings(setup_of(door))
    file = folder / "home" / str(settings.home_file)
    file.parent.mkdir()
    file.write_text(settings.text, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    [program] = PACKAGES.glob("claude-code-*/claude")
    _, output, errors = await run(
        program,
        "-p",
        question,
        "--output-format",
        "json",
        *options,
        folder=folder,
        environment=environment,
        deadline_s=DEADLINE_S,
    )  # fmt: skip
    assert output.startswith(b"{"), (output, errors)
    said: dict[str, Any] = json.loads(output)
    return said


def names_of_tools(asked: EngineRequest) -> set[str]:
    tools: Any = asked.document["tools"]
    return {tool["function"]["name"] for tool in tools}


@pytest.mark.parametrize("num_busy", [0, 1])
async def test_a_round_of_tools(num_busy: int, keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Thinking, words and a call; the tool's result; the answer. An engine that is busy is asked again."""
    calling_engine.call = call_of("Read", {"file_path": str(tmp_path / "a.txt")})
    calling_engine.first = [BUSY] * num_busy
    said = await claude(keyed_door, tmp_path, "What is the secret word in a.txt?")
    assert (ANSWER, "end_turn", False) == (said["result"], said["stop_reason"], said["is_error"])
    assert num_busy == keyed_door.sink.total(REQUESTS, route="/v1/messages", code="engine_overloaded")
    last = calling_engine.last_messages
    assert ["system", "user", "assistant", "tool"] == [message["role"] for message in last]
    assert ("I read it.", "I should read it.") == (last[2]["content"], last[2]["reasoning_content"])
    assert "billing" not in last[0]["content"][:200]


async def test_a_tool_of_a_server_of_mcp(keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Is searched for, is then among the tools that the model knows, and is called."""
    search = call_of("ToolSearch", {"query": "select:mcp__disk__read"})
    calling_engine.first = [search, call_of("mcp__disk__read", {"key": "a"}).replace(b"call_1", b"call_2")]
    servers = {"mcpServers": {"disk": {"command": sys.executable, "args": [str(MCP_SERVER)]}}}
    options = ("--mcp-config", json.dumps(servers), "--allowedTools", "mcp__disk__read")
    said = await claude(keyed_door, tmp_path, "What is the secret word?", *options)
    assert (ANSWER, False) == (said["result"], said["is_error"])
    first, *_, last = calling_engine.requests
    assert "mcp__disk__read" in names_of_tools(last)
    results = [message["content"] for message in calling_engine.last_messages if message["role"] == "tool"]
    assert ["The tool mcp__disk__read can be called now.", "The word is plum."] == results
    assert "mcp__disk__read" not in names_of_tools(first)


async def test_a_prompt_that_does_not_fit(keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Is known for what it is."""
    calling_engine.first = [TOO_LONG]
    said = await claude(keyed_door, tmp_path, "Hello?")
    assert ("prompt_too_long", 400) == (said["terminal_reason"], said["api_error_status"])


# Not of the simulated engine: that says as much as it may, and Claude Code allows 32,000 tokens.
@pytest.mark.parametrize("engine_door", ["tensorrt_llm"], indirect=True)
async def test_whichever_engine_answers(engine_door: Door, tmp_path: Path) -> None:
    """What the engine says is printed."""
    said = await claude(engine_door, tmp_path, "ANSWER:It is plum.")
    assert said_by(engine_door.replicas[0], said["result"])
    assert (False, "end_turn") == (said["is_error"], said["stop_reason"])
