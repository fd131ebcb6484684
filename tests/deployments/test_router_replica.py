"""deployments.router_replica: what a router takes over of what replicas say, and whom it refuses to serve."""

from typing import Any

import pytest

from configs.router import ApiKeySettings
from deployments.api_keys import key_ring
from deployments.router_replica import _replica_of, refuse_public_without_keys
from deployments.serve_internals import RunningReplica

TOLD: dict[str, Any] = {
    "host": "10.0.0.1", "port": 7, "secret": "s", "model": "m", "engine": "vllm", "profile": "vllm", "fim": "",
}  # fmt: skip


def test_a_newer_replica_may_say_more() -> None:
    """Applications are rolled out one after another: a router of today meets engines of tomorrow."""
    newer = {**TOLD, "of_tomorrow": 1, "statement": {"tools": True, "of_tomorrow": 1}}
    replica = _replica_of(RunningReplica("r1", newer))
    assert ("r1", "10.0.0.1", 7, True) == (replica.replica_id, replica.host, replica.port, replica.statement.tools)


LOOPBACK, PUBLIC = "127.0.0.1", "0.0.0.0"
KEYS = {"env": "TEST_KEYS"}
ANONYMOUS = {**KEYS, "allow_anonymous": True}
MEANT = {"allow_anonymous_on_public_address": True}


def refuse(settings: dict[str, Any], host: str, haproxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEYS", "a-key")
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", haproxy)
    given = ApiKeySettings.model_validate(settings)
    refuse_public_without_keys(key_ring(given), given, host)


@pytest.mark.parametrize(
    ("settings", "host", "haproxy"),
    [
        ({}, PUBLIC, "0"),
        ({}, LOOPBACK, "1"),  # HAProxy listens on every address, whatever the router does
        (ANONYMOUS, PUBLIC, "0"),
    ],
)
def test_everybody_is_not_served_by_mistake(
    settings: dict[str, Any], host: str, haproxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an address that others reach, who has no key is only served where somebody says that it is meant."""
    with pytest.raises(ValueError, match=r"api_keys\.allow_anonymous_on_public_address"):
        refuse(settings, host, haproxy, monkeypatch)


@pytest.mark.parametrize(
    ("settings", "host", "haproxy"),
    [
        ({}, LOOPBACK, "0"),
        (KEYS, PUBLIC, "0"),
        (KEYS, LOOPBACK, "1"),
        (ANONYMOUS, LOOPBACK, "0"),
        ({**ANONYMOUS, **MEANT}, PUBLIC, "0"),
        (MEANT, PUBLIC, "1"),
    ],
)
def test_a_router_that_is_guarded_or_meant_to_be_open_starts(
    settings: dict[str, Any], host: str, haproxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With keys, on this machine only, or where it is said."""
    refuse(settings, host, haproxy, monkeypatch)
