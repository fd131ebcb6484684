"""What started this command, where that wants to be told how far it is: systemd, for a service of `Type=notify`."""

import os
import socket
from typing import Final

_ADDRESS_ENV: Final = "NOTIFY_SOCKET"


class ServiceManager:
    """
    To be made before other processes are started: they do not inherit the address, for nobody asked how they are.

    Source: sd_notify(3). An address that begins with `@` is an abstract one.
    """

    def __init__(self) -> None:
        address = os.environ.pop(_ADDRESS_ENV, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, *lines: str) -> None:
        """`READY=1`, `STATUS=…`. Nothing where nobody wants to know, and nothing where nobody listens any more."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
            try:
                told.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                self._address = ""
