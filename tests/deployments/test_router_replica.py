"""deployments.router_replica: what a router takes over of what replicas say."""

from typing import Any

from deployments.router_replica import _replica_of
from deployments.serve_internals import RunningReplica

TOLD: dict[str, Any] = {
    "host": "10.0.0.1", "port": 7, "secret": "s", "model": "m", "engine": "vllm", "profile": "vllm", "fim": "",
}  # fmt: skip


def test_a_newer_replica_may_say_more() -> None:
    """Applications are rolled out one after another: a router of today meets engines of tomorrow."""
    newer = {**TOLD, "of_tomorrow": 1, "statement": {"tools": True, "of_tomorrow": 1}}
    replica = _replica_of(RunningReplica("r1", newer))
    assert ("r1", "10.0.0.1", 7, True) == (replica.replica_id, replica.host, replica.port, replica.statement.tools)
