"""A running stand-in of `trtllm-serve`, and raw HTTP to it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

DEADLINE_S = 60.0
_POLL_S = 0.02


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """The first true result of `look`, which fails the test when there is none in time."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S:g} s"
        time.sleep(_POLL_S)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Answer:
    """
    Attributes:
        is_cut: the connection ended before the body did.
    """

    status: int
    headers: dict[str, str]
    body: str
    is_cut: bool = False

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[dict[str, Any]]:
        """The chunks of a stream, without its [DONE]."""
        datas = [line.removeprefix("data: ") for line in self.body.splitlines() if line.startswith("data: {")]
        return [json.loads(data) for data in datas]


@dataclass
class StandinProcess:
    process: subprocess.Popen[bytes]
    port: int
    record: Path
    log: Path

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """
        Args:
            body: JSON of any kind; a string goes as it is.
        """
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)) as connection:
            content = body if isinstance(body, str) or body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            try:
                text, is_cut = response.read().decode(), False
            except http.client.IncompleteRead as error:
                text, is_cut = error.partial.decode(), True
            return Answer(response.status, headers, text, is_cut)

    def chat(self, content: str, **more: Any) -> Answer:
        messages = [{"role": "user", "content": content}]
        return self.request("POST", "/v1/chat/completions", {"model": "m", "messages": messages} | more)

    def open_stream(self, content: str, **more: Any) -> http.client.HTTPConnection:
        """A connection on which an answer has begun; the caller closes it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        body = {"model": "m", "messages": [{"role": "user", "content": content}], "stream": True} | more
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        return connection

    def notes(self, event: str) -> list[dict[str, Any]]:
        """What the stand-in wrote down of one kind of event."""
        if not self.record.exists():
            return []
        notes = [json.loads(line) for line in self.record.read_text().splitlines()]
        return [note for note in notes if note["event"] == event]

    def is_refused(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except ConnectionRefusedError:
            return True
        return False

    def wait_ready(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.output()
            return not self.is_refused() and self.request("GET", "/health").status == 200

        wait_for("readiness", is_ready)

    def wait_exit(self) -> int:
        return self.process.wait(DEADLINE_S)

    def output(self) -> str:
        return self.log.read_text()


@contextlib.contextmanager
def running_standin(
    programs: Path, arguments: list[str], folder: Path, env: dict[str, str] | None = None, port: int | None = None
) -> Iterator[StandinProcess]:
    """
    A started stand-in, ready or not; its group is killed at the end, and its workers are.

    Args:
        programs: as `make_trtllm_bin` makes it.
        arguments: the model first; host and port are added.
        folder: for its output and its record.
    """
    port = port or free_port()
    number = len(list(folder.glob("*.log")))
    record, log = folder / f"{number}.jsonl", folder / f"{number}.log"
    command = [str(programs / "trtllm-serve"), *arguments, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env=os.environ | {"STANDIN_RECORD": str(record)} | (env or {}),
            start_new_session=True,
        )
    standin = StandinProcess(process, port, record, log)
    try:
        yield standin
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for note in standin.notes("workers"):
            for pid in note["pids"]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
