"""A text completion whose logprobs come in a chat's form, in a text's, as OpenAI has them."""

from typing import Any, Final, TypeAlias

import orjson

from router.exchange import Exchange
from router.http.event_stream import DONE, EventStream, encode_event, read_events

Json: TypeAlias = dict[str, Any]

_OK: Final = 200
_HAS_SOME: Final = b'"logprobs":{'


class TextLogprobsStream(EventStream):
    __slots__ = ("_offsets",)

    def __init__(self, *, wants_usage: bool) -> None:
        super().__init__(wants_usage=wants_usage)
        self._offsets: dict[str, int] = {}

    def feed(self, data: bytes) -> bytes:
        passed = super().feed(data)
        if _HAS_SOME not in passed:
            return passed
        try:
            events = list(read_events(passed))
        except orjson.JSONDecodeError:
            return passed
        return b"".join([DONE if one is None else encode_event(recast(one, self._offsets)) for one in events])


class TextLogprobsExchange(Exchange):
    """One that reads every event, for those who asked for logprobs; any other answer is piped."""

    _stream_type = TextLogprobsStream

    def _answer_whole(self, body: bytes) -> None:
        super()._answer_whole(_recast_whole(body) if self._status == _OK else body)


def _recast_whole(body: bytes) -> bytes:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    return orjson.dumps(recast(document, {})) if isinstance(document, dict) else body


def recast(document: Json, offsets: dict[str, int]) -> Json:
    """
    The same document with its logprobs in a text's form. What is in another form stays as it is.

    Args:
        document: a whole answer, or an event of a stream; changed in place.
        offsets: characters of each choice's text before this document, by its index; moved on.
    """
    choices = document.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        given = choice.get("logprobs") if isinstance(choice, dict) else None
        tokens = given.get("content") if isinstance(given, dict) else None
        if isinstance(tokens, list) and all(map(_is_token, tokens)):
            index = str(choice.get("index"))
            choice["logprobs"] = _text_form(tokens, offsets.get(index, 0))
            offsets[index] = offsets.get(index, 0) + sum(len(token["token"]) for token in tokens)
    return document


def _is_token(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("token"), str) and "logprob" in value


def _text_form(tokens: list[Json], offset: int) -> Json:
    """`top_logprobs` have the token itself, too, be it likely or not."""
    form: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for token in tokens:
        others = [other for other in token.get("top_logprobs") or () if _is_token(other)]
        named: dict[str, object] = {}
        for each in (token, *others):  # of two that look the same, as halves of a character do, the likelier
            named.setdefault(each["token"], each["logprob"])
        form["tokens"].append(token["token"])
        form["token_logprobs"].append(token["logprob"])
        form["top_logprobs"].append(named)
        form["text_offset"].append(offset)
        offset += len(token["token"])
    return form
