"""A stream that goes on where its engine was lost: what another engine says, as if the first had said it."""

from collections.abc import Callable, Iterator
from typing import Any

from router.errors import EngineFailed
from router.http.answer import AnswerSink
from router.http.event_stream import DONE, Usage, encode_event, read_events, read_usage
from router.http.passing_sink import LaterSink
from router.reliability.resuming import Rest, Said, says_reasoning, text_of
from router.reliability.seam import Seam, stops_of


class Continuation(LaterSink):
    """
    Takes the rest of an answer, and hands it on in the first engine's name.

    One id, one date and one role; the usage counts the prompt as it was first asked, and both engines' tokens. A stop
    sequence that lies across the seam ends the answer there, though its first part was said; what the engine says after
    that is dropped until it ends.
    """

    def __init__(
        self, sink: AnswerSink, said: Said, num_tokens: int, rest: Rest, kept: list[bytes], *, wants_usage: bool
    ) -> None:
        """
        Args:
            sink: who has had what was said.
            said: that.
            num_tokens: of it.
            rest: what the engine is asked for.
            kept: takes what is handed on, for the next time.
            wants_usage: hand the usage on, too.
        """
        super().__init__(sink)
        self.on_diverged: Callable[[EngineFailed], object] | None = None
        """Called once, when nothing more should come."""
        self.usage: Usage | None = None
        self._said = said
        self._num_tokens = num_tokens if said.text else 0
        self._wants_usage = wants_usage
        self.kept: list[bytes] | None = kept
        """None once that would be too much."""
        self._owed = said.owed
        body = rest.call.body
        keeps_stop = body.get("include_stop_str_in_output") is True
        self._seam = Seam(said.text + said.owed, stops_of(body.get("stop")), keeps_stop=keeps_stop)
        self._drops_text = rest.is_spent
        self._owed_reason = rest.finish_reason if said.finish_reason is None else None
        self._has_diverged = False

    def send_whole(self, status: int, body: bytes) -> None:  # noqa: ARG002 - the sink's signature
        self._diverge(EngineFailed("The engine did not stream the rest of an answer.", from_engine=True))

    def write(self, data: bytes, *, is_last: bool) -> None:
        """Whole events of the engine that goes on."""
        if self._has_diverged:
            return
        try:
            passed = b"".join(self._passed(data))
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            self._diverge(EngineFailed(f"The rest of a stream cannot be read: {error!r}.", from_engine=True))
            return
        if passed:
            self.has_content = True
            if self.kept is not None:
                self.kept.append(passed)
        if (passed or is_last) and not self._has_diverged:
            self._sink.write(passed, is_last=is_last)

    def _diverge(self, error: EngineFailed) -> None:
        self._has_diverged = True
        if self.on_diverged is not None:
            self.on_diverged(error)

    def _passed(self, data: bytes) -> Iterator[bytes]:
        for event in read_events(data):
            if event is None:
                yield DONE
                continue
            usage = read_usage(event)
            if usage is not None:
                self.usage = self._summed(usage)
            if not event.get("choices"):
                if usage is None or self._wants_usage:
                    yield encode_event({**event, **self._said.head, **self._usage_field(event)})
                continue
            event.pop("usage", None)  # an event of its own says it
            if self._owed_reason is not None:
                yield self._finish(event, self._owed_reason)
                self._owed_reason = None
            if not self._drops_text and self._take(event["choices"][0]):
                yield encode_event({**event, **self._said.head})

    def _take(self, choice: dict[str, Any]) -> bool:
        """Leave in `choice` what is new to the client. Whether anything is."""
        is_chat = "delta" in choice
        part = choice["delta"] if is_chat else choice
        if self._said.text and says_reasoning(part):
            raise ValueError("it reasons anew")
        if self._said.has_role:
            part.pop("role", None)
        name = "content" if is_chat else "text"
        if self._owed:
            part[name] = self._new_in(text_of(part))
        if not self._seam.is_closed:
            self._take_at_seam(choice, part, name)
        if choice.get("finish_reason") is not None:
            return True
        return any(part.values()) if is_chat else bool(text_of(part))

    def _new_in(self, text: str) -> str:
        """What the client has not had. Other words than those that are owed are new."""
        owed, self._owed = self._owed, ""
        if owed.startswith(text):
            self._owed = owed[len(text) :]
            return ""
        return text.removeprefix(owed)

    def _take_at_seam(self, choice: dict[str, Any], part: dict[str, Any], name: str) -> None:
        text = self._seam.pass_on(text_of(part))
        if text is None:
            self._drops_text = True
            part[name], choice["finish_reason"] = self._seam.last, "stop"
            return
        if choice.get("finish_reason") is not None:
            text += self._seam.rest()
        part[name] = text

    def _finish(self, event: dict[str, Any], reason: str) -> bytes:
        """The event that says how an answer ended of which the client has all the text."""
        end: dict[str, Any] = {"delta": {}} if "delta" in event["choices"][0] else {"text": ""}
        choice = {"index": 0, **end, "logprobs": None, "finish_reason": reason}
        return encode_event({**event, **self._said.head, "choices": [choice]})

    def _summed(self, usage: Usage) -> Usage:
        num_more = 0 if self._drops_text else usage.num_completion_tokens
        return Usage(max(0, usage.num_prompt_tokens - self._num_tokens), self._num_tokens + num_more)

    def _usage_field(self, event: dict[str, Any]) -> dict[str, Any]:
        if self.usage is None or "usage" not in event:
            return {}
        prompt, completion = self.usage.num_prompt_tokens, self.usage.num_completion_tokens
        counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return {"usage": {**event["usage"], **counts, **_cached(event["usage"], prompt)}}


def _cached(usage: dict[str, Any], num_prompt_tokens: int) -> dict[str, Any]:
    """Never more than the prompt has: the engine's count has the answer's first part in it."""
    details = usage.get("prompt_tokens_details")
    if not isinstance(details, dict) or not isinstance(details.get("cached_tokens"), int):
        return {}
    cached = min(details["cached_tokens"], num_prompt_tokens)
    return {"prompt_tokens_details": {**details, "cached_tokens": cached}}
