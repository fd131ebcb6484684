"""`enginehouse editors` against a router: what each client's first requests become, and what the command says."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from click.testing import CliRunner, Result
from door import Door, OpenDoor
from scripted_engine import Ending, ScriptedEngine
from simulated_engines import SimulatedEngine
from wire import TOKENS, chunk, stream, whole

from deployments.commands.editors import editors
from deployments.editors.asking import Router
from deployments.editors.checking import Outcome, Report, check
from deployments.editors.client import Key, Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.registry import CLIENTS
from deployments.editors.step import Answer, Fault, Step
from router.fim.template import FAMILIES

KEY = "key-of-a-person"


@pytest_asyncio.fixture
async def simulated() -> AsyncIterator[SimulatedEngine]:
    engine = await SimulatedEngine.start()
    yield engine
    await engine.stop()


@pytest_asyncio.fixture
async def keyed_house(open_door: OpenDoor, simulated: SimulatedEngine) -> Door:
    """A router with a key, whose model has 100,000 tokens of context."""
    door = await open_door(keys=[KEY])
    door.serve_with(simulated.replica("r1"))
    return door


def _origin(door: Door) -> str:
    return f"http://127.0.0.1:{door.port}"


def _check(name: str, origin: str, key: Key | None) -> list[Report]:
    router = Router(origin, timeout_s=20)
    setup = Setup(origin, router.models({"Authorization": f"Bearer {key.text}"} if key else {}), key)
    return list(check(CLIENTS[name], setup, router.ask))


async def checked(name: str, door: Door, key: Key | None = None) -> list[Report]:
    return await asyncio.to_thread(_check, name, _origin(door), key)


async def command(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, editors, arguments, env=env or {})


@pytest.mark.parametrize("name", ["copilot", "cline", "roo", "codex", "claude-code"])
async def test_a_client_passes(name: str, keyed_house: Door) -> None:
    """Every one of its first requests, with a key, at its full size."""
    reports = await checked(name, keyed_house, Key("K", KEY))
    assert [] == [report for report in reports if report.outcome is not Outcome.PASSED]


async def test_what_the_cluster_has_no_model_for_is_skipped(keyed_house: Door) -> None:
    """With the reason; the rest is tried."""
    reports = await checked("continue", keyed_house, Key("K", KEY))
    skipped = [report.title for report in reports if report.outcome is Outcome.SKIPPED]
    assert ["autocomplete", "embed", "rerank"] == skipped
    assert {Outcome.PASSED, Outcome.SKIPPED} == {report.outcome for report in reports}


@pytest.mark.parametrize("name", ["continue", "kilo", "llama-vscode", "twinny"])
async def test_completion_passes(name: str, open_door: OpenDoor, simulated: SimulatedEngine) -> None:
    """Each client's own way to ask for the middle, of a model that has marks for it."""
    door = await open_door()
    door.serve_with(replace(simulated.replica("r1"), fim=FAMILIES["qwen_coder"].encode()))
    titles = {"autocomplete", "FIM", "infill, while typing", "infill, ahead of time"}
    reports = [report for report in await checked(name, door) if report.title in titles]
    assert {Outcome.PASSED} == {report.outcome for report in reports}, reports


async def test_a_model_that_is_too_small_is_no_fault(door: Door, engine: ScriptedEngine) -> None:
    """The engine refuses what does not fit, in words that the client knows; the report says how large it would be."""
    door.serve_with(engine.replica("small", profile="vllm", max_model_len=2048))
    engine.otherwise = [whole({"error": {"message": "maximum context length is 2048 tokens", "code": 400}}, 400)]
    reports = {report.title: report for report in await checked("copilot", door)}
    agent = reports["Agent mode, 71 KB with 40 tools"]
    assert (Outcome.LIMITED, "this takes some 18000 tokens, and default has a context of 2048 tokens") == (
        agent.outcome,
        agent.reason,
    )
    assert Outcome.FAULTY is reports["chat"].outcome


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_a_refusal_that_is_not_the_routers(body: bytes) -> None:
    """As of a proxy that finds a request too large, is a fault of that request and of no other."""
    setup = Setup("http://h", [OfferedModel("m", 2048)])
    reports = list(check(CLIENTS["copilot"], setup, lambda _: Answer(400, {}, body)))
    assert 6 == len(reports)
    assert {Outcome.FAULTY} == {report.outcome for report in reports}


@pytest.mark.parametrize("cards", [["m"], [{"object": "model"}]])
async def test_a_list_of_other_things(cards: list[object], engine: ScriptedEngine) -> None:
    """Is no list of models."""
    engine.otherwise = [whole({"data": cards})]
    with pytest.raises(Fault, match="has no `id`"):
        await asyncio.to_thread(Router(f"http://127.0.0.1:{engine.port}", 20).models, {})


async def test_a_stream_that_breaks_is_a_fault(door: Door, engine: ScriptedEngine) -> None:
    """The report has the engine's fault as the client would see it."""
    door.serve_with(engine.replica("front", profile="front"))
    engine.otherwise = [stream(TOKENS)[: -len(b"0\r\n\r\n")], Ending.RESET]
    reports = {report.title: report for report in await checked("twinny", door)}
    assert Outcome.FAULTY is reports["chat"].outcome
    assert "connection was lost" in reports["chat"].reason


async def test_a_status_is_explained(door: Door, engine: ScriptedEngine) -> None:
    """By what its user sees."""
    engine.otherwise = [whole({"error": {"message": "busy"}}, 503)]
    reports = {report.title: report for report in await checked("copilot", door)}
    assert reports["chat"].reason.endswith("(Copilot calls it a rate limit and does not try again)")


async def test_an_address_where_nobody_is(door: Door) -> None:
    """Is a fault of every request."""
    origin = _origin(door)
    await door.listener.abort()
    with pytest.raises(Fault, match="no answer: "):
        await asyncio.to_thread(Router(origin, 5).ask, Step("health", "/health", [], method="GET"))


async def test_an_answer_that_does_not_come(door: Door, engine: ScriptedEngine) -> None:
    """Is given up when its time is over."""
    engine.otherwise = [chunk(b""), asyncio.Event()]
    body = {"model": "m", "prompt": "hi"}
    with pytest.raises(Fault, match="no answer within"):
        await asyncio.to_thread(Router(_origin(door), 0.2).ask, Step("a", "/v1/completions", [], body=body))


# the command


async def test_the_command_prints_settings_without_the_key(keyed_house: Door) -> None:
    """It is in none of them unless that was asked for."""
    arguments = ("--address", f"{_origin(keyed_house)}/v1/", "--key-env", "K")
    result = await command(*arguments, env={"K": KEY})
    assert 0 == result.exit_code, result.output
    assert KEY not in result.output
    assert {f"# {client.title}" for client in CLIENTS.values()} <= set(result.output.splitlines())
    shown = await command("claude-code", "--with-key", *arguments, env={"K": KEY})
    assert KEY in shown.output


async def test_the_command_warns_beside_the_settings(door: Door, engine: ScriptedEngine) -> None:
    """On the standard error, so that the settings can be put into a file."""
    door.serve_with(engine.replica("small", max_model_len=2048))
    result = await command("copilot", "--address", _origin(door))
    assert "warning: default has a context of 2048 tokens" in result.stderr
    assert "warning" not in result.stdout


async def test_the_check_succeeds(keyed_house: Door) -> None:
    """Exit code 0, a line for each request."""
    result = await command("cline", "--check", "--address", _origin(keyed_house), "--key-env", "K", env={"K": KEY})
    assert (0, "3 passed") == (result.exit_code, result.output.splitlines()[-1])


async def test_the_check_fails(door: Door, engine: ScriptedEngine) -> None:
    """Exit code 1, and the fault, as soon as one request fails."""
    engine.otherwise = [whole({"error": {"message": "oh"}}, 500)]
    result = await command("twinny", "--check", "--address", _origin(door))
    assert 1 == result.exit_code
    assert "  FAULT chat: status 500" in result.output


@pytest.mark.parametrize(
    ("arguments", "env", "exit_code", "says"),
    [
        ((), {}, 1, "asks for a key: name its variable with --key-env"),
        (("--key-env", "K"), {}, 2, "the variable K is not set"),
        (("--key-env", "K"), {"K": "another"}, 1, "does not accept the key in K"),
        (("--key-env", "K"), {"K": "another\n"}, 2, "has a line's end"),
        (("--write",), {"K": KEY}, 2, "needs a CLIENT"),
        (("copilot", "--write"), {"K": KEY}, 2, "has no file of its own"),
        (("nobody",), {}, 2, "'nobody' is not one of"),
    ],
)
async def test_wrong_usage(
    *, arguments: tuple[str, ...], env: dict[str, str], exit_code: int, says: str, keyed_house: Door
) -> None:
    """Says what is missing; never the key."""
    given = ("--key-env", "K") if "--write" in arguments else ()
    result = await command("--address", _origin(keyed_house), *given, *arguments, env=env)
    assert (exit_code, True) == (result.exit_code, says in result.output), result.output
    assert "another" not in result.output


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://h", "http://", "http://h:port"])
async def test_an_address_that_is_none(address: str) -> None:
    """Is told with what one looks like."""
    result = await command("--address", address)
    assert (2, True) == (result.exit_code, "--address" in result.output)


async def test_a_file_is_written_once(keyed_house: Door, tmp_path: Path) -> None:
    """With the key, for its user alone; one that is there is left as it is."""
    arguments = ("claude-code", "--write", "--address", _origin(keyed_house), "--key-env", "K")
    env = {"K": KEY, "HOME": str(tmp_path)}
    first, second = await command(*arguments, env=env), await command(*arguments, env=env)
    assert (0, 1) == (first.exit_code, second.exit_code), first.output
    assert "is there already" in second.output
    path = tmp_path / ".claude/settings.json"
    assert KEY == orjson.loads(path.read_bytes())["env"]["ANTHROPIC_AUTH_TOKEN"]
    assert 0o600 == path.stat().st_mode & 0o777


async def test_a_home_that_cannot_be_written_to(keyed_house: Door, tmp_path: Path) -> None:
    """Is told of, with the reason."""
    (tmp_path / ".claude").write_text("a file where a folder should be")
    arguments = ("claude-code", "--write", "--address", _origin(keyed_house), "--key-env", "K")
    result = await command(*arguments, env={"K": KEY, "HOME": str(tmp_path)})
    assert (1, True) == (result.exit_code, "cannot be written: " in result.output), result.output
