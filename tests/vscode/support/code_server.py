"""VS Code for a browser, started as its own program with nothing of this user's."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psutil
from house_files import free_port

ENTRY = Path(os.environ.get("ENGINEHOUSE_TEST_VSCODE", "")) / "node_modules/code-server/out/node/entry.js"
VSIX = os.environ.get("ENGINEHOUSE_TEST_VSIX", "")
START_DEADLINE_S = 180.0


@dataclass(frozen=True, slots=True)
class CodeServer:
    url: str
    """Opens the workspace."""
    workspace: Path
    user_data: Path

    def extension_log(self) -> str:
        """What our extension has logged in every window."""
        logs = sorted(self.user_data.glob("logs/**/Enginehouse.log"))
        return "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)


@contextlib.contextmanager
def running_code_server(folder: Path, workspace: Path, profile: Mapping[str, object]) -> Iterator[CodeServer]:
    """
    With our extension installed from its file, without a network. All of its processes end with it.

    Args:
        profile: files of the user's profile, by name, each with its content.
    """
    user_data, port = folder / "user", free_port()
    (user_data / "User").mkdir(parents=True)
    for name, content in profile.items():
        (user_data / "User" / name).write_text(json.dumps(content), encoding="utf-8")
    options = [
        "--auth", "none", "--config", str(folder / "config.yaml"), "--user-data-dir", str(user_data),
        "--extensions-dir", str(folder / "extensions"), "--disable-telemetry", "--disable-update-check",
        "--disable-workspace-trust",
    ]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    command = ["node", str(ENTRY), *options]
    installed = subprocess.run(
        [*command, "--install-extension", VSIX],
        env=environment, capture_output=True, text=True, timeout=START_DEADLINE_S, check=False,
    )  # fmt: skip
    assert "successfully installed" in installed.stdout, installed.stdout + installed.stderr
    with (folder / "output.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--bind-addr", f"127.0.0.1:{port}", str(workspace)],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait_until_listening(process, f"http://127.0.0.1:{port}/healthz", folder / "output.txt")
        yield CodeServer(f"http://127.0.0.1:{port}/?folder={workspace}", workspace, user_data)
    finally:
        _end(process)


def _wait_until_listening(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while True:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        with contextlib.suppress(OSError), urlopen(url, timeout=5):  # noqa: S310 - it is http
            return
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """By process id, children first found: they would outlive their parent."""
    family = [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
    process.terminate()
    process.wait(60)
    _, alive = psutil.wait_procs(family, timeout=5)
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
