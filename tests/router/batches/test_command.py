"""`enginehouse batch` in a process of its own, at a router."""

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from batching import OpenHouse, jsonl, line
from door import Door
from echo_engine import EchoEngine
from polling import eventually

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Done:
    code: int | None
    told: str
    """Both its outputs."""


async def start(door: Door, *words: str) -> asyncio.subprocess.Process:
    return await start_at(f"http://127.0.0.1:{door.port}", *words)


async def start_at(address: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deployments.cli", "batch", *words, "--address", address,
        cwd=ROOT, env={**os.environ, "ENGINEHOUSE_API_KEY": "a-key", "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> Done:
    async with asyncio.timeout(60):
        told, _ = await process.communicate()
    return Done(process.returncode, told.decode())


async def run(door: Door, *words: str) -> Done:
    return await end(await start(door, *words))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three requests, the last of which asks for what cannot be."""
    path = tmp_path / "questions.jsonl"
    path.write_bytes(jsonl([line("a", "x"), line("b", "y"), line("c", "z", stream=True)]))
    return path


def custom_ids(path: Path) -> list[str]:
    return [json.loads(text)["custom_id"] for text in path.read_text().splitlines()]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_answers_and_errors_are_written_beside_the_file(open_house: OpenHouse, file: Path) -> None:
    """Exit code 1, since a line failed; what is there already is not written over."""
    door = await open_house(keys=("a-key",))
    done = await run(door, str(file))
    assert 1 == done.code, done.told
    assert "completed: 2 of 3 answered, 1 failed" in done.told
    assert ["a", "b"] == custom_ids(file.with_name("questions.output.jsonl"))
    assert ["c"] == custom_ids(file.with_name("questions.errors.jsonl"))
    again = await run(door, str(file))
    assert (2, True) == (again.code, "is there already" in again.told)


async def test_every_line_answered_is_success(house: Door, tmp_path: Path) -> None:
    """Exit code 0, the answers where --output says, and no error file."""
    file = tmp_path / "in.jsonl"
    file.write_bytes(jsonl([line("a", "x")]))
    done = await run(house, str(file), "--output", str(tmp_path / "answers.jsonl"))
    assert 0 == done.code, done.told
    assert {"in.jsonl", "answers.jsonl", "batches"} == names_in(tmp_path)


async def test_a_bad_file_is_told_before_anything_is_sent(house: Door, tmp_path: Path) -> None:
    """With its line and field."""
    file = tmp_path / "in.jsonl"
    file.write_bytes(jsonl([line("a", "x"), line("a", "x")]))
    done = await run(house, str(file))
    assert 1 == done.code
    assert f"{file}:2: custom_id: Line 1 has the same one." in done.told
    assert [] == list((tmp_path / "batches").iterdir())


async def test_the_routers_refusal_is_told(open_house: OpenHouse, file: Path) -> None:
    """A key that is not accepted."""
    done = await run(await open_house(keys=("another",)), str(file))
    assert (1, True) == (done.code, "the router answers 401: The API key is not accepted here." in done.told)


async def test_ctrl_c_leaves_the_batch_which_can_be_resumed(house: Door, file: Path, echo: EchoEngine) -> None:
    """It says how; the results come with --resume."""
    echo.open.clear()
    process = await start(house, str(file))
    assert process.stdout is not None
    await process.stdout.readuntil(b"Batch batch_")
    await eventually(lambda: echo.asked)
    process.send_signal(signal.SIGINT)
    left = await end(process)
    batch_id = left.told.partition("--resume ")[2].partition("`")[0]
    assert (130, True) == (left.code, batch_id.startswith("batch_")), left.told
    echo.open.set()
    done = await run(house, str(file), "--resume", batch_id)
    assert "completed: 2 of 3 answered, 1 failed" in done.told
    assert ["a", "b"] == custom_ids(file.with_name("questions.output.jsonl"))


async def test_a_wrong_address_is_told_at_once() -> None:
    """Also of a batch that is to be resumed, for which a router that goes away later is waited for."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = await end(await start_at(address, "--resume", "batch_1"))
    assert (1, f"enginehouse: {address}: [Errno 111] Connection refused\n") == (done.code, done.told)


async def test_a_batch_is_cancelled(house: Door, file: Path, echo: EchoEngine) -> None:
    """From another terminal; whoever watches it sees its end, with exit code 1."""
    echo.open.clear()
    process = await start(house, str(file))
    await eventually(lambda: echo.asked)
    assert house.state.batches is not None
    (batch_id,) = await house.state.batches.ledger.ids("everybody")
    assert f"{batch_id}: cancelling\n" == (await run(house, "--cancel", batch_id)).told
    done = await end(process)
    assert (1, True) == (done.code, "cancelled: 0 of 3 answered" in done.told), done.told
