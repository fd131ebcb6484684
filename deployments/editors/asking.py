"""Sending a step to a router, and taking in what comes back."""

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import orjson

from deployments.editors.offered import OfferedModel, offered_model
from deployments.editors.step import Answer, Fault, Step

_READ_BYTES = 65_536


class NeedsKeyError(Exception):
    """The router asks for a key, or does not accept the one that was given."""


class Ask(Protocol):
    def __call__(self, step: Step) -> Answer:
        """
        Raises:
            Fault: there is no answer, or none in time.
        """


@dataclass(slots=True, frozen=True)
class Router:
    """
    The router at `origin`, which is an address without `/v1`.

    It is asked without any proxy. An answer may take `timeout_s`, and so may each silence within it.
    """

    origin: str
    timeout_s: float = 120.0

    def ask(self, step: Step) -> Answer:
        """
        Raises:
            Fault: there is no answer, or none in time.
        """
        connection = self._connect()
        try:
            self._send(connection, step)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            body, is_whole, is_left = _read(response, step.max_events, time.monotonic() + self.timeout_s)
        except TimeoutError:
            raise Fault(f"no answer within {self.timeout_s:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise Fault(f"no answer: {error or type(error).__name__}") from error
        finally:
            connection.close()
        return Answer(response.status, headers, body, is_whole, is_left)

    def models(self, headers: Mapping[str, str]) -> list[OfferedModel]:
        """
        Raises:
            NeedsKeyError: `headers` have no key, or none that is accepted.
            Fault: there is no list of models there.
        """
        answer = self.ask(Step("models", "/v1/models", [], method="GET", headers=headers))
        if answer.status in (401, 403):
            raise NeedsKeyError
        cards = answer.document.get("data") if isinstance(answer.document, dict) else None
        if answer.status != 200 or not isinstance(cards, list):
            raise Fault(f"there is no list of models: status {answer.status}: {answer.shown}")
        if not all(isinstance(card, dict) and isinstance(card.get("id"), str) for card in cards):
            raise Fault(f"a model has no `id`: {answer.shown}")
        return [offered_model(card) for card in cards]

    def _connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self.origin)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        return kind(str(address.hostname), address.port, timeout=self.timeout_s)

    def _send(self, connection: http.client.HTTPConnection, step: Step) -> None:
        """The client's own headers and no others, but for what HTTP demands."""
        body = b"" if step.body is None else orjson.dumps(step.body)
        connection.putrequest(step.method, urlsplit(self.origin).path + step.path, skip_accept_encoding=True)
        for name, value in step.headers.items():
            connection.putheader(name, value)
        if step.body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)


def _read(response: http.client.HTTPResponse, max_events: int | None, deadline: float) -> tuple[bytes, bool, bool]:
    """The body, whether it is whole, and whether it was left at `max_events`. `deadline` is monotonic, in seconds."""
    body = b""
    try:
        while data := response.read1(_READ_BYTES):
            body += data
            if max_events is not None and body.count(b"\n\n") >= max_events:
                return body[: body.rindex(b"\n\n") + 2], True, True
            if time.monotonic() > deadline:
                raise TimeoutError
    except (http.client.HTTPException, ConnectionError):
        return body, False, False
    return body, not response.length, False


def without_version(address: str) -> str:
    """
    `address` as scheme, host and path, without a `/v1` or a slash at its end.

    Raises:
        ValueError: it is no address of the kind `http://HOST:PORT`.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{address!r} is no address like http://HOST:8000")
    _ = parts.port  # raises for one that is none
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"
