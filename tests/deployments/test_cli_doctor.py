"""`enginehouse doctor --engine` and `--parity`, with real engines."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from configs.engine import SimulatedSettings
from deployments.conformance.checks import CHECKS
from deployments.conformance.engine_checks import ENGINE_CHECKS
from deployments.engines import create_engine
from deployments.engines.runtime import EngineRuntime

ROOT = Path(__file__).parents[2]
UNABLE = ("--without", "tools", "--without", "schema", "--without", "logprobs")
"""What the simulated engine does not do: it has no words of its own."""


async def doctor(*arguments: str, key: str = "") -> tuple[int, str]:
    """The exit code and everything that was printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deployments.cli", "doctor", *arguments),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "OPENAI_API_KEY": key},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@contextlib.asynccontextmanager
async def simulated(model: str) -> AsyncIterator[EngineRuntime]:
    settings = SimulatedSettings(engine="simulated", model=model, prefill_base_ms=0, inter_token_ms=0)
    async with EngineRuntime(
        create_engine(settings), settings, "127.0.0.1", lambda *_: None, lambda _: None
    ) as runtime:
        yield runtime


async def test_every_promise_is_asked_of_an_engine() -> None:
    """An engine that keeps them all ends with 0, and each check has a line of its own."""
    code, output = await doctor("--engine", "simulated", *UNABLE)
    missing = [check.name for check in CHECKS if f"{check.name}: " not in output]
    missing += [question.__name__ for question in ENGINE_CHECKS if f"{question.__name__}: " not in output]

    assert (0, []) == (code, missing), output


async def test_an_engine_that_takes_turns_is_asked_alone() -> None:
    """Else the question whether its routes are closed would put it to sleep."""
    code, output = await doctor("--engine", "simulated", "--set", "swap={group: gpu0}", *UNABLE)
    assert 0 == code, output


async def test_each_deviation_is_printed() -> None:
    """An engine that breaks a promise ends with 1, with what was expected and what was found."""
    code, output = await doctor("--engine", "simulated")

    assert (1, True) == (code, "schema: expected JSON that fits the schema, found " in output), output


async def test_settings_come_from_a_file() -> None:
    """`FILE#APPLICATION` starts what the file describes."""
    code, output = await doctor("--engine", "configs/simulated.yaml#no-such-application")

    assert (2, True) == (code, "has no model's application 'no-such-application'; it has: " in output), output


async def test_an_engine_that_does_not_start_says_why() -> None:
    """The cause is the engine's own last word."""
    code, output = await doctor("--engine", "llama_cpp", "--set", "model_source=/nowhere.gguf")

    assert (1, True) == (code, "no weights at /nowhere.gguf: there is no such file" in output), output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "99999"), "'--port': 99999 is not in the range"),
        (("--engine", "vlm"), "--engine: Input tag 'vlm' found"),
        (("--engine", "vllm"), "model_source: Field required"),
        (("--engine", "simulated", "--set", "max_num_seqs=many"), "max_num_seqs: "),
        (("--engine", "simulated", "--set", "max_num_seqs"), "must be NAME=VALUE"),
        (("--engine", "simulated", "--without", "colours"), "--without colours: must be one of "),
        (("--parity", "a", "b"), "--parity a: "),
        (("--parity", "http://127.0.0.1:1", "m@http://127.0.0.1:1"), "must be MODEL@URL"),
        (("--engine", "simulated", "--parity", "m@http://h", "m@http://h"), "two questions"),
    ],
)
async def test_wrong_usage_is_named(arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, and the option that is wrong."""
    code, output = await doctor(*arguments)

    assert (2, True) == (code, message in output), output


async def test_a_server_equals_itself() -> None:
    """Two addresses of one engine differ in nothing, except that neither can do what it cannot."""
    async with simulated("m") as runtime:
        server = f"m@http://127.0.0.1:{runtime.address.port}/v1"
        code, output = await doctor("--parity", server, server, key=runtime.address.secret)

    assert (0, False) == (code, "differs" in output), output


async def test_differences_are_printed() -> None:
    """A server that does not answer to the model's name differs in everything that is judged."""
    async with simulated("m") as runtime:
        server = f"http://127.0.0.1:{runtime.address.port}"
        code, output = await doctor("--parity", f"m@{server}", f"other@{server}", key=runtime.address.secret)

    assert (1, True) == (code, "prompt tokens, system" in output and "differs" in output), output


async def test_a_server_that_is_not_there_is_told_in_one_line() -> None:
    """With the reason, and without a trace of how it was found."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        server = f"m@http://127.0.0.1:{silent.getsockname()[1]}"
        code, output = await doctor("--parity", server, server)

    assert (1, f"Error: --parity {server}: no answer: ", 1) == (code, output.partition("Cannot")[0], output.count("\n"))


async def test_two_servers_that_answer_nothing_are_not_the_same() -> None:
    """Both lack the model: there is nothing to compare."""
    async with simulated("m") as runtime:
        server = f"other@http://127.0.0.1:{runtime.address.port}"
        code, output = await doctor("--parity", server, server, key=runtime.address.secret)

    assert (1, True) == (code, "neither server answers a chat" in output), output
