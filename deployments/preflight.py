"""What is looked at before Ray is started: it would say it late, or not at all."""

import errno
import socket

from configs.router import ApiKeySettings, ListenerSettings
from deployments.api_keys import read_keys


class PortTakenError(Exception):
    """Another program listens where the router should."""


def refuse_taken_port(listener: ListenerSettings) -> None:
    """
    The router shares its port with its own kind, so it would not notice another Enginehouse there: each would get
    some of the other's clients.

    Raises:
        PortTakenError: the port cannot be had.
    """
    family, _, _, _, address = socket.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what is only closing does not count
        try:
            probe.bind(address)
        except OSError as error:
            where = f"{listener.host}:{listener.port}"
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"{where} is in use by another program. Stop it, or set applications[].args.listener.port."
                ) from error
            raise PortTakenError(f"cannot listen on {where}: {error.strerror}") from error


def first_key(settings: ApiKeySettings) -> str | None:
    """One of the accepted API keys, with which the command line asks its own router; None where none is needed."""
    return min(read_keys(settings), default=None)
