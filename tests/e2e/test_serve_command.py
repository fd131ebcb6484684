"""`enginehouse serve`: its exit codes, what it says when something does not start, and that it leaves nothing."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import house_processes
import pytest
from house import House, assert_left_nothing
from house_files import Json, free_port, model, router, router_of, serve_file
from streaming_load import Outcome, Pace, sdk, streamed, whole
from waiting import eventually, wait_for


def file_of_one(**args: Any) -> Json:
    """One router and one replica of one model, simulated unless `args` say otherwise."""
    return serve_file(router(free_port(), {"simulated": []}), [model("simulated", **args)])


@contextlib.contextmanager
def started(config: Json, *, has_own_group: bool = False) -> Iterator[House]:
    """A house that was told to start; whatever becomes of it, nothing of it outlives the test."""
    house = House(config, has_own_group=has_own_group)
    try:
        yield house
    finally:
        house.close()


# what never starts


def test_a_bad_file_is_told_with_line_and_place() -> None:
    """A file with errors is not started: every finding is printed with its place, and the exit code is 1."""
    config = file_of_one(max_num_seq=4)
    router_of(config)["args"]["listener"]["keep_alive_s"] = "long"
    with started(config) as house:
        assert 1 == house.wait_exit()
        output = house.output()
        assert_left_nothing(house)
    assert f"{house.file}:" in output
    assert "applications[0].args.listener.keep_alive_s" in output
    assert "max_num_seqs" in output
    assert "nothing was started" in output


def test_a_taken_port_is_told() -> None:
    """Where another program listens, nothing is started, and the exit code is 1."""
    config = file_of_one()
    with socket.socket() as other:
        other.bind(("127.0.0.1", router_of(config)["args"]["listener"]["port"]))
        other.listen()
        with started(config) as house:
            assert 1 == house.wait_exit()
            assert f"127.0.0.1:{house.port} is in use by another program" in house.output()
            assert_left_nothing(house)


def test_a_model_that_cannot_start_is_told(tmp_path: Path) -> None:
    """Weights that are none end the command with exit code 1 and the engine's own last words."""
    weights = tmp_path / "broken.gguf"
    weights.write_bytes(b"these are no weights" * 100)
    config = file_of_one(engine="llama_cpp", model_source=str(weights), max_model_len=512, max_num_seqs=2)
    with started(config) as house:
        assert 1 == house.wait_exit()
        output = house.output()
        assert "simulated did not start" in output
        assert "broken.gguf: it is not a GGUF file" in output


# how it stops


def test_ctrl_c_while_a_model_loads_leaves_nothing() -> None:
    """SIGINT before everything is ready stops it with exit code 0, and nothing is left."""
    with started(file_of_one(start_delay_s=600)) as house:
        wait_for("the model loads", lambda: "simulated: loading" in house.output())
        house.signal(signal.SIGINT)
        assert 0 == house.wait_exit(), house.last_lines()
        assert_left_nothing(house)


async def test_sigterm_to_its_group_lets_requests_finish_and_leaves_nothing() -> None:
    """
    SIGTERM stops a ready house behind its last stream, also where Ray's processes would hear it, had they not sessions
    of their own: no process, port, shared memory or folder is left.
    """
    before = house_processes.shared_memory()
    outcome = Outcome()
    with started(file_of_one(), has_own_group=True) as house:
        await asyncio.to_thread(house.wait_ready)
        async with sdk(house) as client:
            expected = (await whole(client, Pace(100))).text
            stream = asyncio.create_task(streamed(client, Pace(100, token_ms=30), outcome))
            await eventually("the stream has begun", lambda: outcome.num_chunks)
            house.signal_group(signal.SIGTERM)
            await stream
        assert (expected, None) == (outcome.text, outcome.error)
        assert 0 == await asyncio.to_thread(house.wait_exit), house.last_lines()
        assert_left_nothing(house)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", house.port))
    wait_for("its shared memory is gone", lambda: house_processes.shared_memory() <= before)


def test_sigkill_leaves_no_engine() -> None:
    """SIGKILL of the command itself, which then can do nothing, leaves no engine, no replica and no taken port."""
    with started(file_of_one()) as house:
        house.wait_ready()
        served = [engine.process for engine in house.engines()]
        served += [*house_processes.replicas(house.family(), "router"), *map(house.owner_of, house.engines())]
        assert 3 == len(served)
        house.process.kill()
        wait_for("engine and replicas are gone", lambda: not house_processes.alive(served))
        # On a busy machine Serve may begin to replace them before its own end comes.
        wait_for("the port is free", lambda: is_refused(house.port))


def test_a_house_ends_with_its_raylet() -> None:
    """Else it would serve on, replace nothing, and hear no signal: it ends with exit code 1, and leaves only logs."""
    with started(file_of_one()) as house:
        house.wait_ready()
        family = house.family()
        (raylet,) = (process for process in family if process.name() == "raylet")
        raylet.kill()
        assert 1 == house.wait_exit(), house.last_lines()
        assert "Ray's raylet ended (SIGKILL), without which nothing that dies is replaced" in house.output()
        wait_for("all of it is gone", lambda: not house_processes.alive(family))
        assert is_refused(house.port)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False
