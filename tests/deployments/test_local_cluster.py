"""Ray clusters, as commands find them."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deployments.local_cluster import ClusterError, existing_cluster, is_of_this_machine

OWN = """
import subprocess, sys, pathlib
from deployments.local_cluster import own_cluster
with own_cluster(None, pathlib.Path(sys.argv[1])) as cluster:
    done = subprocess.run([*sys.argv[2:], cluster.address])
sys.exit(done.returncode)
"""
JOIN = """
import os, sys
del os.environ["RAY_AUTH_MODE"]  # which the cluster's own process has set for itself
from deployments.local_cluster import existing_cluster
with existing_cluster(sys.argv[1]) as cluster:
    print("joined", cluster.address == sys.argv[1])
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


@pytest.mark.ray
def test_the_address_of_a_cluster_that_asks_for_a_token_is_enough_on_its_machine(tmp_path: Path) -> None:
    """It is what `enginehouse serve` prints. Ray would show the token to the address `auto` only."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with tempfile.TemporaryDirectory(prefix="lc-") as folder:  # pytest's own has too long a name for Ray's sockets
        done = subprocess.run(
            [sys.executable, "-c", OWN, folder, sys.executable, "-c", JOIN],
            env={**environment, "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (0, "joined True\n") == (done.returncode, done.stdout), done.stderr
    assert (tmp_path / ".ray" / "auth_token").exists()


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
