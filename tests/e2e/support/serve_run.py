"""Ray's own `serve run FILE`, in a process of its own."""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import house_processes
import psutil
import yaml
from house import ENVIRONMENT, ROOT, STOP_DEADLINE_S, clean_environment
from house_files import Json
from waiting import wait_for


class ServeRun:
    """One `serve run FILE`. `folder` is its cluster's: the first one there starts it, later ones join it."""

    def __init__(self, folder: Path, config: Json) -> None:
        name = f"run-{len(list(folder.glob('*.yaml')))}"
        file, self._log = folder / f"{name}.yaml", folder / f"{name}.txt"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        # Without a folder of its own Ray would join whatever cluster was last started on this machine.
        environment = {**clean_environment(), **ENVIRONMENT, "RAY_TMPDIR": str(folder)}
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name("serve"), "run", str(file)],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                # A shell's background jobs ignore Ctrl-C, and so does all that they start.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            )  # fmt: skip
        self._root = psutil.Process(self.process.pid)

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Ctrl-C; by force where that does not help."""
        family = house_processes.family(self._root)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_DEADLINE_S)
            wait_for("nothing of it runs", lambda: not house_processes.alive(family))
        finally:
            for process in house_processes.alive(family):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()


@contextlib.contextmanager
def cluster_folder() -> Iterator[Path]:
    """A folder whose name is short enough for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix="e2e-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
