"""TCP ports of this machine: a free one, and whether one is taken."""

import contextlib
import errno
import socket


def free_port(host: str) -> int:
    with _bound(host, 0) as listener:
        port: int = listener.getsockname()[1]
        return port


def is_port_taken(host: str, port: int) -> bool:
    try:
        with _bound(host, port):
            return False
    except OSError as error:
        return error.errno == errno.EADDRINUSE


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.ExitStack() as failure:
        failure.callback(listener.close)
        # Without it, connections that linger in TIME_WAIT would look like a listener.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        failure.pop_all()
    return listener
