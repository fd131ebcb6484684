"""
The answer of `/infill`: made of a streamed text completion, whole or as a stream of its own. No I/O.

Source: llama.cpp b11549, as it answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from router.http.event_stream import encode_event, read_usage
from router.wire_apis.infill.requests import Asked
from router.wire_apis.pieces import Json

_STOP_TYPES = {"length": "limit", "stop": "eos"}


@dataclass(slots=True)
class _Choice:
    """What is known of one of the answers. `num_events` are those with a part of its text."""

    texts: list[str] = field(default_factory=list)
    num_events: int = 0
    finish_reason: str = "length"
    stop_word: str = ""

    @property
    def text(self) -> str:
        return "".join(self.texts)


class InfillWriter:
    """
    Takes the events of a text completion. `max_model_len` and `model` are set once it is known who answers.

    `now` gives loop time, in seconds, and `arrived_at` is the request's.
    """

    def __init__(self, asked: Asked, arrived_at: float, now: Callable[[], float]) -> None:
        self.max_model_len: int | None = None
        self.model = ""
        self._asked = asked
        self._arrived_at = arrived_at
        self._now = now
        self._first_at: float | None = None
        self.forget()
        self._num_prompt_tokens = self._num_completion_tokens = self._num_cached_tokens = 0

    def forget(self) -> None:
        """Begin the answers anew."""
        self._choices = [_Choice() for _ in range(1 if self._asked.is_prefetch else self._asked.num_choices)]

    @property
    def has_text(self) -> bool:
        return any(choice.num_events for choice in self._choices)

    @property
    def has_new_line(self) -> bool:
        return any("\n" in text for choice in self._choices for text in choice.texts)

    def take(self, event: Json) -> bytes:
        """What the client of a stream gets of an event; empty for none."""
        self._count(event)
        written = b""
        for said in event.get("choices") or ():
            index = said.get("index", 0)
            if index >= len(self._choices):
                continue
            choice, text = self._choices[index], said.get("text") or ""
            if text:
                self._first_at = self._now() if self._first_at is None else self._first_at
                choice.num_events += 1
                if not self._asked.is_prefetch:
                    choice.texts.append(text)
                    written += encode_event(self._part(index, choice, text))
            if said.get("finish_reason"):
                choice.finish_reason = said["finish_reason"]
                stop = said.get("stop_reason")
                choice.stop_word = stop if isinstance(stop, str) else ""
        return written

    def end(self) -> list[Json]:
        """The last event of each answer, which has all that is known of it, and its text but for a stream."""
        return [self._whole(index, choice) for index, choice in enumerate(self._choices)]

    def _count(self, event: Json) -> None:
        usage = read_usage(event)
        if usage is None:
            return
        self._num_prompt_tokens, self._num_completion_tokens = usage.num_prompt_tokens, usage.num_completion_tokens
        details: Any = event["usage"].get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        self._num_cached_tokens = cached if isinstance(cached, int) else 0

    def _part(self, index: int, choice: _Choice, text: str) -> Json:
        return {
            "index": index, "content": text, "tokens": [], "stop": False, "id_slot": -1,
            "tokens_predicted": choice.num_events, "tokens_evaluated": self._num_prompt_tokens,
        }  # fmt: skip

    def _whole(self, index: int, choice: _Choice) -> Json:
        text = choice.text
        is_alone = len(self._choices) == 1
        num_predicted = self._num_completion_tokens if is_alone and self._num_completion_tokens else choice.num_events
        return {
            "index": index,
            "content": "" if self._asked.is_stream else text,
            "tokens": [],
            "id_slot": -1,
            "stop": True,
            "model": self.model,
            "tokens_predicted": num_predicted,
            "tokens_evaluated": self._num_prompt_tokens,
            "generation_settings": self._settings(),
            "prompt": "",
            "has_new_line": "\n" in text,
            "truncated": self._asked.is_cut,
            "stop_type": "word" if choice.stop_word else _STOP_TYPES.get(choice.finish_reason, "limit"),
            "stopping_word": choice.stop_word,
            "tokens_cached": self._num_prompt_tokens + num_predicted,
            "timings": self._timings(num_predicted),
        }

    def _settings(self) -> Json:
        asked = self._asked
        limit = -1 if asked.max_tokens is None else asked.max_tokens
        own = {"n_ctx": self.max_model_len or 0, "n_predict": limit, "max_tokens": limit, "stream": asked.is_stream}
        return {**asked.sampling, **own}

    def _timings(self, num_predicted: int) -> Json:
        now = self._now()
        first_at = now if self._first_at is None else self._first_at
        num_read = max(0, self._num_prompt_tokens - self._num_cached_tokens)
        prompt_ms, predicted_ms = 1000 * (first_at - self._arrived_at), 1000 * (now - first_at)
        return {
            "cache_n": self._num_cached_tokens,
            "prompt_n": num_read,
            "prompt_ms": round(prompt_ms, 3),
            "prompt_per_token_ms": _ratio(prompt_ms, num_read),
            "prompt_per_second": _ratio(1000 * num_read, prompt_ms),
            "predicted_n": num_predicted,
            "predicted_ms": round(predicted_ms, 3),
            "predicted_per_token_ms": _ratio(predicted_ms, num_predicted),
            "predicted_per_second": _ratio(1000 * num_predicted, predicted_ms),
        }


def _ratio(above: float, below: float) -> float:
    return round(above / below, 3) if below else 0.0
