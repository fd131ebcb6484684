"""`enginehouse serve` as a user starts it, in a process of its own, with a Ray cluster of its own."""

import contextlib
import copy
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import house_processes as processes
import psutil
import yaml
from house_files import Json, free_port, models_of, router_of
from waiting import wait_for

ROOT = Path(__file__).parents[3]
START_DEADLINE_S = 300.0
STOP_DEADLINE_S = 180.0
_NUM_LOG_LINES = 60

ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_metrics_report_interval_ms": "2000",  # five times as often as by default: tests wait for it
    "PYTHONUNBUFFERED": "1",
}


class House:
    """
    One `enginehouse serve FILE`.

    Its files lie in a folder of its own with a short name: Ray's sockets lie deep below it. `close` removes it, and
    ends by force whatever the house itself did not.

    One that `has_own_group` can be sent signals as a terminal sends them, and gets none that is meant for the tests.
    """

    def __init__(
        self, config: Json, environment: Mapping[str, str] | None = None, *, has_own_group: bool = False
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="e2e-"))
        self.file = self.folder / "house.yaml"
        self.dashboard_port = free_port()
        self._log = self.folder / "output.txt"
        self.environment = {**clean_environment(), **ENVIRONMENT, **(environment or {})}
        self._seen: dict[int, psutil.Process] = {}
        self._write(config)
        self._group = 0 if has_own_group else None
        self.process = self._start()
        self._root = psutil.Process(self.process.pid)

    def _write(self, config: Json) -> None:
        self.file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        self.config = config
        router = router_of(config)
        self.port: int = router["args"]["listener"]["port"]
        self.num_routers: int = router["deployments"][0]["num_replicas"]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.num_replicas: dict[str, int] = {
            app["name"]: app["deployments"][0].get("num_replicas", 1) for app in models_of(config)
        }

    def _start(self) -> "subprocess.Popen[bytes]":
        options = ["--dashboard-port", str(self.dashboard_port), "--temp-dir", str(self.folder)]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "deployments.cli", "serve", str(self.file), *options],
                cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                process_group=self._group,
            )  # fmt: skip

    # its life

    def wait_ready(self, deadline_s: float = START_DEADLINE_S) -> None:
        """Returns once it says that it is ready; fails the test, with the end of its log, when it never does."""
        deadline = time.monotonic() + deadline_s
        while "Ready." not in self.output():
            assert self.process.poll() is None, f"exit code {self.process.returncode}:\n{self.last_lines()}"
            assert time.monotonic() < deadline, f"not ready in {deadline_s:g} s:\n{self.last_lines()}"
            time.sleep(0.1)
        self.family()

    def wait_whole(self) -> None:
        """Returns once every replica of the file runs, and every router knows all of them."""
        wait_for("every router listens", lambda: len(self.routers()) == self.num_routers)
        wait_for("every engine runs", lambda: len(self.engines()) == sum(self.num_replicas.values()))
        # Which router answers a new connection is the kernel's choice.
        wait_for(
            "every router knows every replica",
            lambda: all(self.ready_replicas() == self.num_replicas for _ in range(8 * self.num_routers)),
        )

    def ready_replicas(self) -> dict[str, int]:
        """By the word of whichever router answers; nothing where one that goes leaves the question unanswered."""
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=60) as answer,
        ):
            ready: dict[str, int] = json.load(answer)["ready_replicas"]
            return ready
        return {}

    def signal_group(self, number: signal.Signals) -> None:
        """To each process of its group, where it has its own: the command, and whoever else is in it."""
        self.family()
        os.killpg(self.process.pid, number)

    def signal(self, number: signal.Signals) -> None:
        self.family()
        self.process.send_signal(number)

    def wait_exit(self) -> int:
        """The exit code of the command."""
        deadline = time.monotonic() + STOP_DEADLINE_S
        while self.process.poll() is None:
            self.family()
            assert time.monotonic() < deadline, f"still there after {STOP_DEADLINE_S:g} s:\n{self.last_lines()}"
            time.sleep(0.2)
        return self.process.returncode

    def close(self) -> None:
        """End whatever is left, by process id, and remove the folder."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_DEADLINE_S)
        for process in self.remains():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.poll()
        shutil.rmtree(self.folder, ignore_errors=True)

    # what it says

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def last_lines(self) -> str:
        return "\n".join(self.output().splitlines()[-_NUM_LOG_LINES:])

    @property
    def session(self) -> Path:
        """Ray's folder of this house's cluster."""
        return next(self.folder.glob("eh-*")) / "session_latest"

    def replica_logs(self, application: str) -> str:
        """What the replicas of an application have logged so far."""
        return "".join(log.read_text(encoding="utf-8", errors="replace") for log in self._logs_of(application))

    def num_started(self, application: str) -> int:
        """How many replicas of an application there have been, the living ones included."""
        return len(self._logs_of(application))

    def _logs_of(self, application: str) -> list[Path]:
        return sorted((self.session / "logs" / "serve").glob(f"replica_{application}_*.log"))

    # its processes

    def family(self) -> list[psutil.Process]:
        """Its processes of now. Each that was ever seen here is known to `remains`."""
        found = processes.family(self._root)
        self._seen.update((process.pid, process) for process in found)
        return found

    def remains(self) -> list[psutil.Process]:
        """The processes, seen at any time, that still run."""
        self.family()
        return processes.alive(self._seen.values())

    def routers(self) -> list[psutil.Process]:
        """The router replicas that listen."""
        return [one for one in processes.replicas(self.family(), "router") if processes.is_listening(one, self.port)]

    def engines(self, model: str | None = None) -> list[processes.EngineProcess]:
        return processes.engines(self.family(), model)

    def owner_of(self, engine: processes.EngineProcess) -> psutil.Process:
        """The Serve replica's process that an engine belongs to."""
        return next(one for one in engine.process.parents() if "ray::ServeReplica" in " ".join(one.cmdline()))

    # its changes

    def _change(self, change: Callable[[Json], None]) -> None:
        config = copy.deepcopy(self.config)
        change(config)
        self._write(config)

    def redeploy(self, change: Callable[[Json], None]) -> None:
        """Bring a changed file to the running cluster. Returns before it is done."""
        self._change(change)
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.dashboard_port}/api/serve/applications/", json.dumps(self.config).encode(),
            {"content-type": "application/json"}, method="PUT",
        )  # fmt: skip
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310  ours
            assert answer.status == 200

    def redeploy_by_command(self, change: Callable[[Json], None]) -> None:
        """The same by `serve deploy FILE`, which sends that request, as an operator does it; it takes 3 s to start."""
        self._change(change)
        command: list[Path | str] = [Path(sys.executable).with_name("serve"), "deploy", str(self.file)]
        done = subprocess.run(
            [*command, "--address", f"http://127.0.0.1:{self.dashboard_port}"],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def open_house(
    config: Json, environment: Mapping[str, str] | None = None, start_deadline_s: float = START_DEADLINE_S
) -> Iterator[House]:
    """A house that is ready. At its end it is stopped by SIGTERM, and has to leave nothing behind."""
    house = House(config, environment)
    try:
        house.wait_ready(start_deadline_s)
        yield house
        house.signal(signal.SIGTERM)
        assert house.wait_exit() == 0, house.last_lines()
        assert_left_nothing(house)
    finally:
        house.close()


def assert_left_nothing(house: House) -> None:
    """No process, and so no port, and no folder of Ray's."""
    wait_for("its processes are gone", lambda: not house.remains())
    assert list(house.folder.glob("eh-*")) == []


def clean_environment() -> dict[str, str]:
    """This process's environment without what would make `serve` use somebody else's cluster."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "ENGINEHOUSE_"))}
