"""deployments.service_manager: what systemd is told, and that nobody else need be there."""

import os
import socket
from pathlib import Path

import pytest

from deployments.service_manager import ServiceManager


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_it_is_told_at_either_kind_of_address(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines come in one message, whether the address is a file or an abstract one."""
    name = f"@enginehouse-{os.getpid()}" if kind == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0") if kind == "abstract" else name)
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        ServiceManager().tell("READY=1", "STATUS=Serving")
        assert b"READY=1\nSTATUS=Serving" == manager.recv(1000)


def test_its_address_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started later do not find the address in their environment."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    ServiceManager()
    assert "NOTIFY_SOCKET" not in os.environ


def test_nobody_need_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address, and where it leads nowhere, nothing happens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    ServiceManager().tell("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    ServiceManager().tell("READY=1")
