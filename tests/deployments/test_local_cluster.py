"""Ray clusters, as commands find them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ray._private.services import start_ray_process

from deployments.local_cluster import ClusterError, existing_cluster, is_of_this_machine
from deployments.serve_internals import in_sessions_of_their_own

SHOW = """
import os
from deployments.serve_internals import show_own_token
show_own_token()
print(os.environ.get("RAY_AUTH_MODE"))
"""


def test_a_cluster_that_does_not_answer_is_told_at_once() -> None:
    """Ray itself would try for more than ten minutes."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        expected = f"no Ray cluster answers at {address}: Connection refused"
        with pytest.raises(ClusterError, match=expected), existing_cluster(address):
            pass


def test_an_address_that_is_none_is_told() -> None:
    """Nothing was to be started, so nothing is said of a start."""
    expected = "^cannot join the Ray cluster at nonsense: Invalid address format: nonsense"
    with pytest.raises(ClusterError, match=expected), existing_cluster("nonsense"):
        pass


def test_rays_processes_get_sessions_of_their_own() -> None:
    """So long as it is asked for: a signal to this process's group does not reach them."""

    def session_of_one() -> int:
        started = start_ray_process(["sleep", "600"], "a test's", fate_share=True).process
        try:
            return os.getsid(started.pid) - started.pid
        finally:
            started.kill()
            started.wait()

    with in_sessions_of_their_own():
        assert 0 == session_of_one()
    assert 0 != session_of_one()


def test_the_token_of_this_machine_is_shown(tmp_path: Path) -> None:
    """In a process of its own: Ray reads where it lies, and whether to show it, once in a process's life."""
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("ab" * 32)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env={**environment, "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (0, "token\n") == (done.returncode, done.stdout), done.stderr


@pytest.mark.parametrize(
    ("address", "is_here"),
    [
        ("127.0.0.1:6379", True),
        ("localhost:6379", True),
        ("198.51.100.7:6379", False),
        ("auto", False),
        ("ray://127.0.0.1:10001", False),
    ],
)
def test_an_address_of_this_machine_is_known(address: str, is_here: bool) -> None:  # noqa: FBT001 - a parameter
    """The token goes to no other, unless RAY_AUTH_MODE says so."""
    assert is_here == is_of_this_machine(address)
