"""One request of a client, and how the client reads what comes back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson


class Fault(Exception):
    """The client does not get what it needs. The message is for the person who runs the cluster."""


@dataclass(frozen=True)
class Answer:
    """
    One answer. `headers` have lower-case names.

    `is_whole` says that the body ended where it should, and not with the connection. `is_left` says that the client
    had read enough and hung up: then nothing is known of the end.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool = True
    is_left: bool = False

    @cached_property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Fault(f"the answer is no JSON: {self.shown}") from None

    @cached_property
    def lines(self) -> list[str]:
        return self.body.decode(errors="replace").splitlines()

    @cached_property
    def data(self) -> list[str]:
        """What each event of a stream carries, `[DONE]` included."""
        return [line[5:].lstrip(" ") for line in self.lines if line.startswith("data:")]

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The events of a stream that are JSON objects."""
        events = []
        for data in self.data:
            if data == "[DONE]":
                continue
            try:
                event = orjson.loads(data)
            except orjson.JSONDecodeError:
                raise Fault(f"an event is no JSON: {data[:200]}") from None
            if isinstance(event, dict):
                events.append(event)
        return events

    @property
    def shown(self) -> str:
        return self.body[:300].decode(errors="replace").strip() or "nothing"


Rule = Callable[[Answer], None]
"""Raises Fault."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    `path` is that of the request target, the key in it included.

    `num_tokens` is the context that the request fills: a model with less may refuse it as too long. After `max_events`
    the client hangs up, as a user does who presses Stop.
    """

    title: str
    path: str
    rules: Sequence[Rule]
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    model: str = ""
    max_model_len: int = 0
    num_tokens: int = 0
    max_events: int | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """A request that cannot be sent to this cluster, and why."""

    title: str
    reason: str
