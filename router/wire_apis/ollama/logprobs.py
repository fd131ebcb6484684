"""How probable tokens were, as Ollama asks for it and says it. Pure."""

from typing import Any

from router.wire_apis.fields import fault
from router.wire_apis.pieces import Json

_MOST = 20


def logprob_fields(document: Json, *, is_text: bool) -> Json:
    """
    As fields of a chat completion, or of a text completion, where one number says both.

    Raises:
        InvalidRequest: one has the wrong type or range; the message names it.
    """
    wanted, num_others = document.get("logprobs"), document.get("top_logprobs")
    if wanted is not None and not isinstance(wanted, bool):
        raise fault("logprobs", "a boolean")
    if num_others is not None and not (type(num_others) is int and 0 <= num_others <= _MOST):
        raise fault("top_logprobs", f"an integer from 0 to {_MOST}")
    if not wanted:
        return {}
    if is_text:
        return {"logprobs": num_others or 0}
    return {"logprobs": True, **({"top_logprobs": num_others} if num_others else {})}


class Logprobs:
    """
    Collects them until there is a part of the answer to say them with.

    Args:
        asked: the body of the completion.
    """

    def __init__(self, asked: Json) -> None:
        wanted = asked.get("logprobs")
        self._is_wanted = wanted is not None
        self._num_others = asked.get("top_logprobs", 0) if isinstance(wanted, bool) else wanted or 0
        self._owed: list[Json] = []

    def take(self, completion: Json) -> None:
        """Those of its first choice: a whole answer's or an event's."""
        if not self._is_wanted:
            return
        for choice in completion.get("choices", ()):
            given = choice.get("logprobs")
            if choice.get("index", 0) == 0 and isinstance(given, dict):
                self._owed += [self._token(*each) for each in _tokens_of(given)]

    def owed(self) -> Json:
        """A field of the next part of the answer; none where there is nothing to say."""
        owed, self._owed = self._owed, []
        return {"logprobs": owed} if owed else {}

    def _token(self, token: Json, others: list[Json]) -> Json:
        """Engines may name more than were asked for: llama.cpp does where no number was."""
        best = sorted(others, key=lambda other: other["logprob"], reverse=True)[: self._num_others]
        return {**_plain(token), **({"top_logprobs": [_plain(other) for other in best]} if best else {})}


def _tokens_of(given: Json) -> list[tuple[Json, list[Json]]]:
    """Each token with the likeliest in its place, from either of OpenAI's two forms."""
    if "content" in given:
        return [(token, token.get("top_logprobs") or []) for token in given["content"] or ()]
    tokens, values = given.get("tokens") or [], given.get("token_logprobs") or []
    others: list[Any] = given.get("top_logprobs") or [None] * len(tokens)
    return [
        (_said(token, value), [_said(*other) for other in (named or {}).items()])
        for token, value, named in zip(tokens, values, others, strict=False)
        if value is not None
    ]


def _said(token: str, logprob: float) -> Json:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _plain(token: Json) -> Json:
    """Without what an engine says besides, as a token's number."""
    known = {"token": token["token"], "logprob": token["logprob"]}
    return {**known, "bytes": token["bytes"]} if token.get("bytes") else known
