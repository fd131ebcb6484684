"""Completions and embeddings as Ollama's answers: whole, or as the lines of a stream. Pure, but for the clock."""

import datetime as dt
import time
from collections.abc import Iterator

import orjson

from router.http.asgi import Headers
from router.wire_apis.ollama.logprobs import Logprobs
from router.wire_apis.ollama.requests import Question
from router.wire_apis.pieces import (
    Counts,
    Finish,
    InOrder,
    Json,
    Piece,
    Reasoning,
    Text,
    ToolCall,
    pieces_of,
    pieces_of_whole,
)
from router.wire_apis.translation import StreamForm

NDJSON_HEADERS: Headers = [
    (b"content-type", b"application/x-ndjson"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class GenerationWriter:
    """Writes the answer of a chat or a generation, as lines and as a whole out of the same steps."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._clock = _Clock()
        self._in_order = InOrder()
        self._logprobs = Logprobs(question.body)
        self._finish = Finish("stop", None)
        self._counts = Counts(0, 0, 0)
        self._call: ToolCall | None = None
        self._arguments: list[str] = []

    def whole(self, completion: Json) -> bytes:
        texts: dict[str, list[str]] = {"content": [], "thinking": []}
        calls: list[Json] = []
        for piece in pieces_of_whole(completion):
            for said in self._say(piece):
                calls += said.get("tool_calls", [])
                for name, parts in texts.items():
                    parts.append(said.get(name, ""))
        calls += self._whole_call()
        self._logprobs.take(completion)
        joined = {name: "".join(parts) for name, parts in texts.items()}
        return orjson.dumps(self._last(joined | ({"tool_calls": calls} if calls else {}), completion))

    def feed(self, chunk: Json) -> bytes:
        self._logprobs.take(chunk)
        return b"".join([self._line(said) for piece in pieces_of(chunk) for said in self._ordered(piece)])

    def end(self) -> bytes:
        rest = [said for piece in self._in_order.rest() for said in self._say(piece)]
        calls = list(self._whole_call())
        if calls:
            rest.append({"tool_calls": calls})
        return b"".join([*map(self._line, rest), orjson.dumps(self._last({})), b"\n"])

    def loaded(self) -> Json:
        """The whole answer to a request that asks for nothing but the model."""
        reason = "unload" if self._question.is_unload else "load"
        return {**self._head({}), "done": True, "done_reason": reason}

    def form(self) -> StreamForm:
        """Lines of JSON have no comments, so the sign of life is a line that says nothing more."""
        return StreamForm(NDJSON_HEADERS, self._line({}))

    def _ordered(self, piece: Piece) -> Iterator[Json]:
        for ordered in self._in_order.take(piece):
            yield from self._say(ordered)

    def _say(self, piece: Piece) -> Iterator[Json]:
        """Parts of the answer, each in the fields of a chat's message. A tool call comes once it is whole."""
        if isinstance(piece, Finish):
            self._finish = piece
        elif isinstance(piece, Counts):
            self._counts = piece
        elif isinstance(piece, ToolCall) and self._call is not None and piece.index == self._call.index:
            self._arguments.append(piece.arguments)
        else:
            self._clock.begin()
            calls = list(self._whole_call())
            if calls:
                yield {"tool_calls": calls}
            if isinstance(piece, ToolCall):
                self._call, self._arguments = piece, [piece.arguments]
            elif isinstance(piece, Text | Reasoning):
                yield {"content" if isinstance(piece, Text) else "thinking": piece.text}

    def _whole_call(self) -> Iterator[Json]:
        call, self._call = self._call, None
        if call is not None:
            function = {"index": call.index, "name": call.name, "arguments": _arguments("".join(self._arguments))}
            yield {**({"id": call.call_id} if call.call_id else {}), "function": function}

    def _line(self, said: Json) -> bytes:
        return orjson.dumps({**self._head(said), "done": False, **self._logprobs.owed()}) + b"\n"

    def _head(self, said: Json) -> Json:
        content, thinking = said.get("content", ""), said.get("thinking", "")
        thought = {"thinking": thinking} if thinking else {}
        own: Json
        if self._question.kind == "generate":
            own = {"response": content, **thought}
        else:
            calls = {"tool_calls": said["tool_calls"]} if "tool_calls" in said else {}
            own = {"message": {"role": "assistant", "content": content, **thought, **calls}}
        return {"model": self._question.model, "created_at": now_text(), **own}

    def _last(self, said: Json, completion: Json | None = None) -> Json:
        reason = "length" if self._finish.reason == "length" else "stop"
        counts = {
            "prompt_eval_count": self._counts.num_prompt_tokens,
            "eval_count": self._counts.num_completion_tokens,
        }
        head = {**self._head(said), "done": True, "done_reason": reason, **self._logprobs.owed()}
        return {**head, **counts, **self._clock.durations(completion)}


class EmbeddingWriter:
    """Writes the vectors of `/api/embed`, or the one of `/api/embeddings`."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._clock = _Clock()

    def whole(self, embedded: Json) -> bytes:
        vectors = [one["embedding"] for one in sorted(embedded["data"], key=lambda one: one["index"])]
        if self._question.kind == "embeddings":
            return orjson.dumps({"embedding": vectors[0] if vectors else []})
        counted = (embedded.get("usage") or {}).get("prompt_tokens", 0)
        document = {"model": self._question.model, "embeddings": vectors, "prompt_eval_count": counted}
        return orjson.dumps(document | self._clock.whole())

    def feed(self, chunk: Json) -> bytes:
        raise TypeError(f"a stream of vectors: {chunk}")

    def end(self) -> bytes:
        raise TypeError("a stream of vectors")

    def loaded(self) -> Json:
        """The whole answer to a request that asks for nothing but the model."""
        return {"embedding": []} if self._question.kind == "embeddings" else {
            "model": self._question.model, "embeddings": [],
        }  # fmt: skip


class _Clock:
    """How long an answer takes, in nanoseconds. No model is loaded for a request here, so that takes none."""

    def __init__(self) -> None:
        self._asked_at = time.monotonic_ns()
        self._began_at: int | None = None

    def begin(self) -> None:
        """The first part of the answer is there."""
        if self._began_at is None:
            self._began_at = time.monotonic_ns()

    def whole(self) -> Json:
        return {"total_duration": time.monotonic_ns() - self._asked_at, "load_duration": 0}

    def durations(self, completion: Json | None) -> Json:
        """
        Reading the prompt is all until the first part of a stream, waiting included. Of a whole answer only
        llama.cpp says how long that took; elsewhere all of the time counts as writing.
        """
        total = self.whole()
        reading = (self._began_at or time.monotonic_ns()) - self._asked_at
        if completion is not None:
            reading = _milliseconds(completion, "prompt_ms") * 1_000_000
        reading = min(reading, total["total_duration"])
        return total | {"prompt_eval_duration": reading, "eval_duration": total["total_duration"] - reading}


def _milliseconds(completion: Json, name: str) -> int:
    timings = completion.get("timings")
    value = timings.get(name) if isinstance(timings, dict) else None
    return int(value) if isinstance(value, int | float) else 0


def now_text() -> str:
    return dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")


def _arguments(text: str) -> Json:
    """As `INVALID_JSON` where a model wrote no object: no tool knows that, so the model gets to see what it wrote."""
    if not text.strip():
        return {}
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        document = None
    return document if isinstance(document, dict) else {"INVALID_JSON": text}
