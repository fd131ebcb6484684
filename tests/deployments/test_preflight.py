"""What is looked at before Ray is started."""

import socket
from pathlib import Path

import pytest

from configs.router import ApiKeySettings, ListenerSettings
from deployments.preflight import PortTakenError, first_key, refuse_taken_port


def test_a_shared_port_counts_as_taken() -> None:
    """Another router that shares its port would get some of our clients: its port is refused all the same."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port} is in use by another program"):
            refuse_taken_port(ListenerSettings(port=port))


def test_an_address_of_another_machine_is_refused() -> None:
    """An address that is not this machine's is told before anything starts."""
    with pytest.raises(PortTakenError, match=r"cannot listen on 192\.0\.2\.200:8000"):
        refuse_taken_port(ListenerSettings(host="192.0.2.200"))


def test_a_free_port_is_left_free() -> None:
    """The look at the port does not keep it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = ListenerSettings(port=probe.getsockname()[1])

    refuse_taken_port(settings)
    refuse_taken_port(settings)


def test_the_command_line_uses_an_accepted_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys come from the variable and the file; one of them is enough to ask the router with."""
    (tmp_path / "keys").write_text("# team\nfrom-file\n")
    monkeypatch.setenv("TEST_KEYS", "from-env")

    assert first_key(ApiKeySettings()) is None
    assert "from-env" == first_key(ApiKeySettings(env="TEST_KEYS"))
    assert "from-file" == first_key(ApiKeySettings(file=str(tmp_path / "keys")))
