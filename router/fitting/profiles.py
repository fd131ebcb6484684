"""How each engine's OpenAI dialect differs from OpenAI's, as data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from router.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    ServingError,
)

_CONTEXT_TYPES = frozenset({"exceed_context_size_error"})
_CONTEXT_WORDS = re.compile(
    r"maximum context length|maximum model length|exceeds the available context size", re.IGNORECASE
)
_TEXT_OVER_STEP = re.compile(r"input \(\d+ tokens\) is too large to process")
"""llama.cpp's words for a text to be embedded that is longer than its context; it calls that a fault of its own."""
_UNREAD = re.compile(r"Failed to parse (messages|tools)\b")
"""llama.cpp's words for a field that has not the shape that it wants, which it calls a fault of its own, too."""
_MAX_MESSAGE_CHARACTERS = 2000
_FORMATS = frozenset({"text", "json_object", "json_schema"})
OVERLOADED_STATUSES = frozenset({429, 502, 503, 504})
"""Statuses of an engine that cannot take the request now, where another replica may."""
NO_ROUTE_STATUSES = frozenset({404, 405, 501})
"""How engines say that they have no such route: vLLM 404 and, in older versions, 501; llama.cpp 501."""


@dataclass(slots=True, frozen=True)
class Profile:
    """
    One engine's dialect.

    `counts_tokens` names the route by which the engine counts the tokens of a prompt, None where it has none.
    `clamps_max_tokens` says that the engine itself stops at the end of its context, whatever `max_tokens` asks for.
    """

    name: str
    counts_tokens: Literal["/tokenize"] | None
    clamps_max_tokens: bool
    ignores: frozenset[str] = frozenset()
    """Fields that change an answer and that the engine passes over without a word."""
    formats: frozenset[str] | None = None
    """Types of `response_format` that the engine knows; None where it judges that by itself."""
    names_tools: bool = True
    """`tool_choice` may name a function."""
    merges: frozenset[Literal["texts", "tokens"]] = frozenset()
    """Inputs for embeddings of which several requests are asked as one: the tokens of each are known, texts' by the
    engine's `/tokenize` as `router.merging.counting` asks it, and one call was seen to cost less than several."""
    continues_by: Mapping[str, object] | None = None
    """Fields of a chat by which the engine goes on with its last message, the assistant's, instead of answering it.
    None where it cannot, or is not known to go on with a text either."""
    takes_any_part: bool = False
    """It is asked with every kind of part that OpenAI's chats have. Otherwise: texts, images and sound."""
    default_max_tokens: int | None = None
    """Tokens of a text completion that asks for no number of them. None: as many as the context has."""
    applies_template: Literal["/apply-template"] | None = None
    """The route by which the engine makes a prompt of a chat, which its `/tokenize` then counts as text."""
    completion_ids: tuple[bytes, bytes] | None = None
    """How ids of text completions begin, where that is how a chat's do, and how they should: bytes of JSON, which
    cannot occur within its texts, where quotes are escaped."""
    has_chats_logprobs: bool = False
    """Those of its text completions come in a chat's form, and where 0 are asked for, none come."""
    thoughts: tuple[bytes, bytes] | None = None
    """What its chats call a model's thoughts, where clients look for another name, and that: bytes of JSON as above."""

    last_words: re.Pattern[str] | None = None
    """In what a server says while its engine is dead, and it is about to end, too: not of the request, which any other
    replica can answer."""

    @property
    def tokenises(self) -> bool:
        """Whether the engine tells the tokens of a text."""
        return self.counts_tokens is not None or self.applies_template is not None

    def read_error(self, status: int, body: bytes) -> ServingError:
        """The engine's error in our terms: its words, our status, type and code."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        error = document.get("error", document) if isinstance(document, dict) else None
        return self._translate(status, error)

    def read_stream_error(self, error: object) -> ServingError:
        """An error that the engine sent inside a stream."""
        status = error.get("code") if isinstance(error, dict) else None
        return self._translate(status if isinstance(status, int) else 500, error)

    def _translate(self, status: int, error: object) -> ServingError:
        fields = error if isinstance(error, dict) else {}
        message = fields.get("message") or fields.get("detail") or (error if isinstance(error, str) else None)
        words = str(message)[:_MAX_MESSAGE_CHARACTERS] if message else f"The engine answered with status {status}."
        param = fields.get("param")
        named = param if isinstance(param, str) else None
        unread = _UNREAD.match(words)
        if unread is not None:
            status, named = 400, unread[1]
        is_context_said = _TEXT_OVER_STEP.search(words) or (status < 500 and _CONTEXT_WORDS.search(words))
        if fields.get("type") in _CONTEXT_TYPES or is_context_said:
            return ContextLengthExceeded(words, param=named or "messages", from_engine=True)
        if status >= 500 and self.last_words is not None and self.last_words.search(words):
            return EngineUnavailable(words, retry_after_s=1, from_engine=True)
        if status in OVERLOADED_STATUSES:
            return EngineOverloaded(words, retry_after_s=1, from_engine=True)
        if status in (401, 403, 404, 405):  # ours to get right, not the client's
            return EngineFailed(f"The engine refused the router's request with status {status}.", from_engine=True)
        if 400 <= status < 500:
            return InvalidRequest(words, param=named, from_engine=True)
        return EngineFailed(words, from_engine=True)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "llama_cpp",
            counts_tokens=None,
            clamps_max_tokens=True,
            ignores=frozenset({"dimensions", "echo", "best_of"}),
            formats=_FORMATS,
            names_tools=False,  # its log says "wrong type", and it goes on as if nothing were demanded
            merges=frozenset({"texts", "tokens"}),
            continues_by={},  # its server takes a last message of the assistant's for the beginning of the answer
            applies_template="/apply-template",
            completion_ids=(b'"id":"chatcmpl-', b'"id":"cmpl-'),
            has_chats_logprobs=True,
        ),
        Profile(
            "vllm",
            counts_tokens="/tokenize",
            clamps_max_tokens=False,
            ignores=frozenset({"best_of"}),  # 0.30 has no such field, and takes every field
            formats=_FORMATS | {"structural_tag"},
            continues_by={"continue_final_message": True, "add_generation_prompt": False},
            default_max_tokens=16,
            thoughts=(b'"reasoning":', b'"reasoning_content":'),
            # Source: vLLM 0.30, `v1/engine/exceptions.py`, EngineDeadError.
            last_words=re.compile(r"EngineCore encountered an issue"),
        ),
        # What stands behind a front either clamps by itself or is not ours to second-guess.
        Profile("front", counts_tokens=None, clamps_max_tokens=True, takes_any_part=True),
    )
}
"""Profiles by name. A replica says with which of them its engine speaks."""
