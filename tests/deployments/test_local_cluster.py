"""Ray clusters, as commands find them."""

import socket

import pytest

from deployments.local_cluster import ClusterError, existing_cluster


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
