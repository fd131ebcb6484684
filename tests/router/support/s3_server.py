"""A server that speaks S3 (moto's), in a process of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from typing import ClassVar, Self

_DEADLINE_S = 60.0
_PROGRAM = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app))
"""
"""One request at a time: moto looks whether an object exists, and creates it, in two steps."""


class S3Server:
    """On a free port of loopback, with one bucket `house`. Everything is gone when it ends."""

    environment: ClassVar = {"S3_ID": "an-id", "S3_SECRET": "a-secret"}

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(self.port)],
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._make_bucket()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def settings(self, prefix: str) -> dict[str, object]:
        """Of a store there."""
        keys = {"access_key_id_env": "S3_ID", "secret_access_key_env": "S3_SECRET"}
        return {"type": "s3", "bucket": "house", "endpoint": self.address, "prefix": prefix, **keys}

    def _make_bucket(self) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/house", method="PUT")
            try:
                with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - our own server
                    return
            except OSError:
                assert self._process.poll() is None, "the S3 server has ended"
                assert time.monotonic() < deadline, "the S3 server never answered"
                time.sleep(0.05)
