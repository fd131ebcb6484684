"""A house as systemd runs it, by the unit's own command lines: told when it is ready, reloaded, and stopped."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from house import START_DEADLINE_S, House, assert_left_nothing
from house_files import Json, free_port, model, router, router_of, serve_file
from streaming_load import Outcome, Pace, sdk, streamed, whole
from systemd_unit import Unit
from waiting import eventually

pytestmark = pytest.mark.houses


class Service(House):
    """Started and reloaded by the unit's lines, with the test's paths and port in them."""

    def __init__(self, config: Json) -> None:
        self.unit = Unit.read()
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.settimeout(START_DEADLINE_S)
        super().__init__(config)

    def _start(self) -> "subprocess.Popen[bytes]":
        address = str(self.folder / "notify")
        self.told.bind(address)
        home = self.folder / "home"  # with nothing in it, as that of the unit's user
        home.mkdir()
        # systemd gives no more than this.
        self.environment = {**self.unit.environment(), "HOME": str(home), "PATH": "/usr/bin:/bin"}
        (words,) = self.command_lines("ExecStart")
        with self._log.open("wb") as log:
            return subprocess.Popen(
                words, cwd=self.folder, env={**self.environment, "NOTIFY_SOCKET": address},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def command_lines(self, name: str) -> list[list[str]]:
        places = {
            "8265": str(self.dashboard_port),
            "/opt/enginehouse/.venv/bin": str(Path(sys.executable).parent),
            "/etc/enginehouse/house.yaml": str(self.file),
            "/var/lib/enginehouse": str(self.folder),
        }
        return [[_replaced(word, places) for word in words] for words in self.unit.commands(name)]

    def reload(self, change: Callable[[Json], None]) -> list[int]:
        """The commands' exit codes, up to the first that fails."""
        self._change(change)
        codes: list[int] = []
        while not any(codes) and len(codes) < len(lines := self.command_lines("ExecReload")):
            done = subprocess.run(
                lines[len(codes)], cwd=self.folder, env=self.environment, capture_output=True, timeout=180, check=False
            )
            codes.append(done.returncode)
        return codes

    def next_told(self) -> str:
        """The first line of the next message."""
        return self.told.recv(1000).decode().splitlines()[0]


def _replaced(word: str, places: dict[str, str]) -> str:
    for there, here in places.items():
        word = word.replace(there, here)
    return word


@pytest.fixture
def service() -> Iterator[Service]:
    """One that was told to start; nothing of it outlives the test."""
    service = Service(serve_file(router(free_port(), {"simulated": []}), [model("simulated")]))
    try:
        yield service
    finally:
        service.close()
        service.told.close()


async def test_a_service_is_ready_reloads_and_stops_behind_its_last_stream(service: Service) -> None:
    """It says when it is ready, takes over a file that is right and no other, and says when it stops, with code 0."""
    assert "READY=1" == await asyncio.to_thread(service.next_told), service.last_lines()
    assert "Ready." in service.output()
    outcome = Outcome()
    async with sdk(service) as client:
        assert [1] == await asyncio.to_thread(service.reload, lambda file: file.update(unknown=[]))
        assert [0, 0] == await asyncio.to_thread(service.reload, _add_model)
        await eventually("it is taken over", lambda: "model table: simulated, other" in service.replica_logs("router"))
        expected = (await whole(client, Pace(100))).text
        stream = asyncio.create_task(streamed(client, Pace(100, token_ms=30), outcome))
        await eventually("the stream has begun", lambda: outcome.num_chunks)
        service.signal(signal.SIGTERM)
        assert "STOPPING=1" == await asyncio.to_thread(service.next_told)
        await stream
    assert (expected, None) == (outcome.text, outcome.error)
    assert 0 == await asyncio.to_thread(service.wait_exit), service.last_lines()
    assert_left_nothing(service)


def _add_model(file: Json) -> None:
    file.pop("unknown")
    router_of(file)["deployments"][0]["user_config"]["models"]["other"] = {"application": "simulated"}
