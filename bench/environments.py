"""Virtual environments of the contenders: made on first use, made again when their requirements change."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

BENCH = Path(__file__).parent
ENVIRONMENTS = BENCH / ".environments"
STAMP = "requirements.sha256"
"""File inside an environment that says which requirements it was finished with."""


class InstallFailed(Exception):
    """pip's last lines are in the message."""


def environment(name: str, console: Console) -> Path:
    """The folder of the environment made from `requirements-NAME.txt`; its commands are in `bin`."""
    requirements = BENCH / f"requirements-{name}.txt"
    folder = ENVIRONMENTS / name
    wanted = f"{hashlib.sha256(requirements.read_bytes()).hexdigest()} {sys.version_info[:2]}"
    stamp = folder / STAMP
    if not stamp.exists() or stamp.read_text() != wanted:
        with console.status(f"installing {name} (once)"):
            _install(folder, requirements)
        stamp.write_text(wanted)
        console.print(f"installed {name}")
    return folder


def _install(folder: Path, requirements: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    _run(sys.executable, "-m", "venv", folder)
    _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", requirements)


def _run(*command: str | Path) -> None:
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    if finished.returncode != 0:
        last_lines = "\n".join((finished.stdout + finished.stderr).splitlines()[-15:])
        raise InstallFailed(f"{' '.join(map(str, command))} ended with status {finished.returncode}\n{last_lines}")
