"""Codex itself against a router: a command is run, its output is sent, and the answer is what it prints."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from calling_engine import ANSWER, CallingEngine, call_of
from door import Door
from engines_behind_doors import said_by
from printed_settings import KEY, setup_of
from programs import run
from wire import whole

from deployments.editors.registry import CLIENTS
from router.metrics import REQUESTS

PACKAGES = Path(os.environ.get("ENGINEHOUSE_TEST_CLIENTS", "")) / "node_modules/@openai"
DEADLINE_S = 120
BUSY = whole({"error": {"message": "busy"}}, 503)
MCP_SERVER = Path(__file__).parents[1] / "support/mcp_server.py"
OPTIONS = ("exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")


async def codex(door: Door, folder: Path, question: str, more_settings: str = "") -> list[dict[str, Any]]:
    """What the program reports of one question, in a folder and with a home of its own, set up as `editors` prints."""
    home = folder / "home"
    home.mkdir()
    [settings] = CLIENTS["codex"].settings(setup_of(door))
    (home / "config.toml").write_text(settings.text + more_settings, encoding="utf-8")
    [program] = PACKAGES.glob("codex-*/vendor/*/bin/codex")
    environment = {"PATH": os.environ["PATH"], "CODEX_HOME": str(home), KEY.env: KEY.text}
    exit_code, output, errors = await run(
        program, *OPTIONS, question, folder=folder, environment=environment, deadline_s=DEADLINE_S
    )
    assert 0 == exit_code, (output, errors)
    return [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]


@pytest.mark.parametrize("num_busy", [0, 1])
async def test_a_round_of_tools(num_busy: int, keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Thinking, words and a call; the command's output; the answer. An engine that is busy is asked again."""
    calling_engine.call = call_of("exec_command", {"cmd": "cat a.txt"})
    calling_engine.first = [BUSY] * num_busy
    reports = await codex(keyed_door, tmp_path, "What is the secret word in a.txt?")
    said = [one["item"]["text"] for one in reports if one.get("item", {}).get("type") == "agent_message"]
    assert ["I read it.", ANSWER] == said
    assert "turn.completed" == reports[-1]["type"]
    assert num_busy == keyed_door.sink.total(REQUESTS, route="/v1/responses", code="engine_overloaded")
    last = calling_engine.last_messages
    assert ["system", "user", "assistant", "tool"] == [message["role"] for message in last]
    assert ("I read it.", "I should read it.") == (last[2]["content"], last[2]["reasoning_content"])


async def test_a_tool_of_a_server_of_mcp(keyed_door: Door, calling_engine: CallingEngine, tmp_path: Path) -> None:
    """Is known to the model by the server's name and its own, and called when the model calls it."""
    calling_engine.call = call_of("mcp__disk__read", {"key": "a"})
    server = f"\n[mcp_servers.disk]\ncommand = {json.dumps(sys.executable)}\nargs = [{json.dumps(str(MCP_SERVER))}]\n"
    reports = await codex(keyed_door, tmp_path, "What is the secret word?", server)
    items = [one["item"] for one in reports if one["type"] == "item.completed"]
    called = [(one["server"], one["tool"], one["arguments"]) for one in items if one["type"] == "mcp_tool_call"]
    assert [("disk", "read", {"key": "a"})] == called
    assert ANSWER == items[-1]["text"]
    tools = calling_engine.requests[-1].document["tools"]
    assert "mcp__disk__read" in [tool["function"]["name"] for tool in tools]  # type: ignore[attr-defined]


async def test_whichever_engine_answers(engine_door: Door, tmp_path: Path) -> None:
    """What the engine says is reported. The simulated one has words of its own."""
    reports = await codex(engine_door, tmp_path, "ANSWER:It is plum.")
    said = [one["item"]["text"] for one in reports if one.get("item", {}).get("type") == "agent_message"]
    assert said_by(engine_door.replicas[0], *said)
    assert "turn.completed" == reports[-1]["type"]
