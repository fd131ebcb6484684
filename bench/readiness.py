"""When a server is ready: when it has answered a request of the bench."""

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.processes import Server, ServerFailed
from bench.scenarios import BY_NAME


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    ports: tuple[int, ...]
    """More than one only without a router: the clients spread over them."""
    key: str
    """Sent as `Authorization: Bearer KEY`."""


def wait_until_answering(address: Address, servers: Sequence[Server], timeout_s: float) -> None:
    """
    Raises:
        ServerFailed: one of `servers` ended, or the address did not answer 200 in time.
    """
    deadline = time.monotonic() + timeout_s
    outcome = "nobody answered"
    while time.monotonic() < deadline:
        for server in servers:
            server.check()
        try:
            outcome = "".join(_ask(address, port) for port in address.ports)
        except (OSError, http.client.HTTPException) as error:
            outcome = str(error)
        if not outcome:
            return
        time.sleep(0.1)
    logs = "\n".join(server.last_lines() for server in servers)
    raise ServerFailed(f"{address.ports} gives no answer after {timeout_s:.0f} s: {outcome}\n{logs}")


def _ask(address: Address, port: int) -> str:
    """What kept the server from a good answer; empty when nothing did."""
    connection = http.client.HTTPConnection(address.host, port, timeout=10.0)
    headers = {"authorization": f"Bearer {address.key}", "content-type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", BY_NAME["one-shot"].request_body(0), headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    return "" if response.status == http.client.OK else f"status {response.status}: {body[:300]!r}"
