"""One request to an engine, from its arrival to its account."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from configs.engine import Task
from router.fim.template import ExtraFile
from router.fitting.known_roles import with_known_roles
from router.http.asgi import Scope, header
from router.http.bodies import encode_object, parse_body
from router.http.event_stream import Usage
from router.lanes.lane import INTERACTIVE, Lane
from router.metrics import (
    AUDIO_SECONDS,
    CACHE,
    COMPLETION_TOKENS,
    INTER_TOKEN_LATENCY,
    PROMPT_TOKENS,
    REQUEST_LATENCY,
    REQUESTS,
    TIME_TO_FIRST_TOKEN,
    MetricSink,
)
from router.models.table import Model
from router.replicas.registry import Replica
from router.replicas.statement import Ability
from router.validation import (
    check_chat,
    check_completion,
    check_embedding,
    check_rerank,
    check_speech,
    check_transcription,
    requested_model,
)


@dataclass(slots=True, frozen=True)
class Route:
    """
    One route that engines answer.

    `check` raises InvalidRequest. `task` is what a model must be for. `prompt_field` is where a request has its prompt.
    """

    path: str
    check: Callable[[Mapping[str, object]], None]
    task: Task
    prompt_field: str
    summary: str
    ability: Ability | None = None
    """What makes a model that generates one for this route, too."""

    @property
    def is_chat(self) -> bool:
        return self.prompt_field == "messages"


ROUTES = {
    route.path: route
    for route in (
        Route("/v1/chat/completions", check_chat, "generate", "messages", "A chat completion, streamed or whole"),
        Route("/v1/completions", check_completion, "generate", "prompt", "A text completion, streamed or whole"),
        Route("/v1/embeddings", check_embedding, "embed", "input", "Texts as vectors"),
        Route("/v1/rerank", check_rerank, "rerank", "documents", "Documents in the order in which they fit a query"),
    )
}

AUDIO_ROUTES = {
    route.path: route
    for route in (
        Route(
            "/v1/audio/transcriptions", check_transcription, "transcribe", "file",
            "What is said in a recording, streamed or whole", "transcription",
        ),
        Route(
            "/v1/audio/translations", check_transcription, "transcribe", "file",
            "What is said in a recording, in English", "transcription",
        ),
        Route("/v1/audio/speech", check_speech, "speak", "input", "A text as sound", "speech"),
    )
}  # fmt: skip
"""Routes whose answers go through as they are. The first two take a form instead of JSON."""


@dataclass(slots=True)
class Call:
    """
    A request that was read and found well-formed.

    `body` is its JSON object, `raw` the bytes that it came in. `model_name` is as the client wrote it. `session` is
    what the client's headers call the conversation, empty where they do not.
    """

    route: Route
    body: dict[str, object]
    raw: bytes
    model_name: str
    wants_stream: bool
    wants_usage: bool
    session: bytes = b""
    lane: Lane = INTERACTIVE
    """How it is treated among others."""
    extra: tuple[ExtraFile, ...] = ()
    """Parts of other files that a text completion with a `suffix` is to know."""
    unfilled: Mapping[str, object] | None = None
    """`body` as the client wrote it, where its prompt was made here of what is before and behind a cursor."""
    content_type: str = "application/json"
    """Of what `encode_for` makes."""

    @property
    def client_body(self) -> Mapping[str, object]:
        """The body as the client wrote it, for what is known of clients by it."""
        return self.body if self.unfilled is None else self.unfilled

    def encode_for(self, name: str, priority: int | None = None) -> bytes:
        """
        The body for the engine: the client's own bytes unless something has to change.

        The engine knows its model by `name` only, and is always asked for the usage of a stream, which is taken
        out of the answer again when the client did not ask. `priority` is for engines that know some, 0 what they
        take for granted.
        """
        changes: dict[str, object] = {}
        if priority is not None and self.body.get("priority", 0) != priority:
            changes["priority"] = priority
        if self.model_name != name:
            changes["model"] = name
        if self.wants_stream and not self.wants_usage:
            options = self.body.get("stream_options")
            changes["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return encode_object({**self.body, **changes}) if changes else self.raw


def parse_call(route: Route, raw: bytes, session: bytes = b"") -> Call:
    """
    `session` is what the client's headers call the conversation.

    Raises:
        InvalidRequest: the body is no JSON object, or one of its fields has the wrong type or range.
    """
    body, raw = parse_body(raw)
    name = requested_model(body)
    route.check(body)
    known = _with_functions_only(body)
    if route.is_chat:
        known = _with_known_roles(known)
    if known is not body:
        body, raw = known, encode_object(known)
    wants_stream = route.task == "generate" and body.get("stream") is True
    options = body.get("stream_options")
    wants_usage = isinstance(options, dict) and options.get("include_usage") is True
    return Call(route, body, raw, name, wants_stream, wants_usage, session)


def _with_known_roles(body: dict[str, object]) -> dict[str, object]:
    given = cast("list[dict[str, object]]", body["messages"])
    messages = with_known_roles(given)
    return body if messages is given else {**body, "messages": messages}


_OF_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})


def _with_functions_only(body: dict[str, object]) -> dict[str, object]:
    """
    The same without tools of other kinds than functions, which OpenAI runs itself or has a grammar for.

    Engines refuse the whole request for one, as they do not for a field that they do not know.
    """
    tools = body.get("tools")
    if not isinstance(tools, list):
        return body
    functions = [tool for tool in tools if not _is_of_other_kind(tool)]
    if len(functions) == len(tools):
        return body
    gone = _OF_TOOLS if not functions else {"tool_choice"} if _is_of_other_kind(body.get("tool_choice")) else ()
    kept = {name: value for name, value in body.items() if name not in gone}
    return {**kept, "tools": functions} if functions else kept


def _is_of_other_kind(tool: object) -> bool:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return isinstance(kind, str) and kind not in ("function", "allowed_tools")


_ID_CHARACTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:")
_MAX_ID_BYTES = 128


def request_id(scope: Scope) -> bytes:
    """The client's own `x-request-id` where it is harmless, else a fresh one."""
    given = header(scope, b"x-request-id")
    if given and len(given) <= _MAX_ID_BYTES and _ID_CHARACTERS.issuperset(given):
        return given
    return new_request_id()


def new_request_id() -> bytes:
    return b"req-" + os.urandom(12).hex().encode()


@dataclass(slots=True)
class Account:
    """What is recorded of one request. `arrived_at` is loop time, in seconds."""

    sink: MetricSink
    arrived_at: float
    now: Callable[[], float]
    route: str
    labels: dict[str, str] = field(default_factory=lambda: {"model": "", "engine": "", "replica": ""})

    gaps_s: list[float] = field(default_factory=list)
    """Between tokens, and not yet recorded: together they cost less than one at a time."""

    def attempt(self, model: Model, replica: Replica) -> None:
        """The request is now in the hands of `replica`."""
        self.record_gaps()
        self.labels = {"model": model.name, "engine": replica.engine, "replica": replica.replica_id}

    def first_token(self) -> None:
        self.sink.record(TIME_TO_FIRST_TOKEN, self.now() - self.arrived_at, self.labels)

    def next_token(self, gap_s: float) -> None:
        self.gaps_s.append(gap_s)

    def record_gaps(self) -> None:
        if self.gaps_s:
            self.sink.record_all(INTER_TOKEN_LATENCY, self.gaps_s, self.labels)
            self.gaps_s = []

    def count_tokens(self, usage: Usage | None) -> None:
        """What the engine says that it read and wrote."""
        if usage is not None and usage.num_prompt_tokens:
            self.sink.record(PROMPT_TOKENS, usage.num_prompt_tokens, self.labels)
        if usage is not None and usage.num_completion_tokens:
            self.sink.record(COMPLETION_TOKENS, usage.num_completion_tokens, self.labels)
        if usage is not None and usage.audio_s:
            self.sink.record(AUDIO_SECONDS, usage.audio_s, self.labels)

    def close(self, code: str, cache_outcome: str | None = None) -> None:
        """
        The request is over.

        Args:
            code: `ok`, an error's code, or `client_disconnected`.
            cache_outcome: what the response cache did for it, where there is one.
        """
        self.record_gaps()
        record = self.sink.record
        record(REQUESTS, 1, {**self.labels, "route": self.route, "code": code})
        record(REQUEST_LATENCY, self.now() - self.arrived_at, self.labels)
        if cache_outcome is not None:
            record(CACHE, 1, {**self.labels, "outcome": cache_outcome})
