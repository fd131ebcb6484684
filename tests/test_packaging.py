"""The wheel holds the four packages, whole and alone, and installs without treading on anybody."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("configs", "cache", "router", "deployments")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
METADATA = f"enginehouse-{VERSION}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `pip wheel` builds it."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [built] = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def files(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture
def site(wheel: Path, tmp_path: Path) -> Path:
    """A folder with the wheel unpacked, which for a wheel without scripts of its own is the same as installed."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    return tmp_path / "site"


def run_installed(program: str, site: Path, tmp_path: Path) -> object:
    """The JSON that `program` prints when Enginehouse is imported from `site`, far away from the checkout."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=elsewhere, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_the_wheel_has_the_four_packages_and_nothing_else(files: set[str]) -> None:
    """Tests, benchmarks and documentation stay at home."""
    top_level = {name.split("/")[0] for name in files}
    assert {*PACKAGES, METADATA} == top_level


def test_every_python_file_of_the_checkout_is_in_the_wheel(files: set[str]) -> None:
    """Nothing is left out by an ignore rule."""
    expected = {str(path.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    assert expected == {name for name in files if name.endswith(".py")}


def test_every_package_is_typed(files: set[str]) -> None:
    """Type checkers follow imports from the four packages."""
    assert {f"{name}/py.typed" for name in PACKAGES} <= files


def test_the_configuration_files_and_their_schema_are_in_the_wheel(files: set[str]) -> None:
    """`enginehouse serve` finds its YAML files where it is installed, and editors find the schema beside them."""
    expected = {f"configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    assert {"configs/laptop.yaml", "configs/schema.json"} | expected <= files


def test_the_licence_is_in_the_wheel(files: set[str]) -> None:
    """Apache-2.0 asks that a copy goes with the work."""
    assert f"{METADATA}/licenses/LICENSE" in files


def test_the_command_is_declared(wheel: Path) -> None:
    """The console script `enginehouse` is the command line's main function, and that can be imported."""
    parser = ConfigParser()
    parser.read_string(zipfile.ZipFile(wheel).read(f"{METADATA}/entry_points.txt").decode())
    assert {"enginehouse": "deployments.cli:main"} == dict(parser["console_scripts"])
    assert callable(EntryPoint("enginehouse", "deployments.cli:main", "console_scripts").load())


def test_the_installed_packages_have_one_root_and_no_intruder(site: Path, tmp_path: Path) -> None:
    """All four names resolve to the installation, wherever Python is started."""
    program = (
        "import importlib.util, json; from deployments.packages import PACKAGES, find_intruders;"
        "print(json.dumps([find_intruders(), [importlib.util.find_spec(name).origin for name in PACKAGES]]))"
    )
    expected = [[], [str(site / name / "__init__.py") for name in PACKAGES]]
    assert expected == run_installed(program, site, tmp_path)


def test_the_installed_packages_have_exactly_one_owner(site: Path, tmp_path: Path) -> None:
    """No other distribution of this environment brings a package of the same name."""
    program = (
        "import json; from importlib.metadata import packages_distributions;"
        f"owners = packages_distributions(); print(json.dumps([owners[name] for name in {PACKAGES}]))"
    )
    assert [["enginehouse"]] * 4 == run_installed(program, site, tmp_path)
