"""
A request of `/infill` as a text completion. Pure.

Source: llama.cpp b11549, `tools/server/README.md`; of what it does with `prompt`, `format_prompt_infill`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router.fim.template import ExtraFile
from router.http.bodies import parse_object
from router.wire_apis.fields import fault, objects_at
from router.wire_apis.pieces import Json

_BYTES_PER_TOKEN = 3
"""Of code, by the tokenisers of today's models, at the least."""
_MARK_TOKENS = 16
"""Tokens that a template adds."""
_SAME = (
    *("temperature", "top_p", "top_k", "min_p", "seed", "stop", "logit_bias"),
    *("presence_penalty", "frequency_penalty", "repeat_penalty"),
    *("samplers", "n_indent", "cache_prompt", "ignore_eos"),
)
"""Fields that mean the same in a text completion; the last ones are llama.cpp's own there, too."""


@dataclass(slots=True, frozen=True)
class Asked:
    """
    What a client asks. `before` and `behind` are the texts around the cursor, `num_choices` is how many answers.

    `max_tokens` is None where it is not said; 0 only warms the engine's KV cache. Times are in seconds, None for no
    limit.
    """

    before: str
    behind: str
    extra: tuple[ExtraFile, ...]
    max_tokens: int | None
    num_choices: int
    max_prompt_s: float | None
    max_predict_s: float | None
    is_stream: bool
    sampling: Json
    is_cut: bool = False
    """Whether some of the texts were left out, for the context is too small for them."""

    @property
    def is_prefetch(self) -> bool:
        return self.max_tokens == 0

    def body(self, model: str) -> Json:
        """The text completion's."""
        body: Json = {"model": model, "prompt": self.before, "suffix": self.behind, **self.sampling}
        if self.max_tokens is not None:
            body["max_tokens"] = max(1, self.max_tokens)
        if self.num_choices > 1 and not self.is_prefetch:
            body["n"] = self.num_choices
        return body


def read_request(raw: bytes) -> tuple[str | None, Asked]:
    """
    The model that is named, None for none, and what is asked.

    Raises:
        InvalidRequest: a field is missing or wrong; the message names it.
    """
    document = parse_object(raw)
    model = document.get("model")
    if model is not None and not isinstance(model, str):
        raise fault("model", "a string that names a model")
    max_tokens = _integer(document, "n_predict", -1, 2**31 - 1)
    asked = Asked(
        _text(document, "input_prefix") + _text(document, "prompt", is_needed=False),
        _text(document, "input_suffix"),
        tuple(_extra(document.get("input_extra"))),
        None if max_tokens == -1 else max_tokens,
        _integer(document, "n_cmpl", 1, 128) or 1,
        _seconds(document, "t_max_prompt_ms"),
        _seconds(document, "t_max_predict_ms"),
        _boolean(document, "stream"),
        {name: document[name] for name in _SAME if document.get(name) is not None},
    )
    return model or None, asked


def cut_to_fit(asked: Asked, max_model_len: int | None) -> Asked:
    """
    The same with what fits the model's context, estimated from bytes: of what is around the cursor the nearest, three
    parts before it to one behind, as llama.cpp has it, and of the other files the last.

    Args:
        asked: what the client wants.
        max_model_len: the context, in tokens; None where it is not known.
    """
    if max_model_len is None:
        return asked
    left = (max_model_len - min(asked.max_tokens or 0, max_model_len // 2) - _MARK_TOKENS) * _BYTES_PER_TOKEN
    before, behind = asked.before.encode(), asked.behind.encode()
    for_behind = max(left // 4, left - len(before))
    behind = behind[: max(0, for_behind)]
    before = before[max(0, len(before) - max(0, left - len(behind))) :]
    extra = _last_that_fit(asked.extra, left - len(before) - len(behind))
    cut = replace(asked, before=before.decode(errors="ignore"), behind=behind.decode(errors="ignore"), extra=extra)
    return asked if cut == asked else replace(cut, is_cut=True)


def _last_that_fit(extra: Sequence[ExtraFile], num_bytes: int) -> tuple[ExtraFile, ...]:
    kept: list[ExtraFile] = []
    for one in reversed(extra):
        num_bytes -= len(one.text.encode()) + len(one.name.encode()) + _MARK_TOKENS
        if num_bytes < 0:
            break
        kept.append(one)
    return tuple(reversed(kept))


def _extra(value: object) -> list[ExtraFile]:
    if value is None:
        return []
    files = []
    for index, (one, where) in enumerate(objects_at(value, "input_extra")):
        text, name = one.get("text"), one.get("filename")
        if not isinstance(text, str):
            raise fault(f"{where}.text", "a string")
        if name is not None and not isinstance(name, str):
            raise fault(f"{where}.filename", "a string")
        files.append(ExtraFile(name or f"file{index + 1}", text))
    return files


def _text(document: Json, name: str, *, is_needed: bool = True) -> str:
    value = document.get(name)
    if value is None and not is_needed:
        return ""
    if not isinstance(value, str):
        raise fault(name, "a string")
    return value


def _integer(document: Json, name: str, low: int, high: int) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise fault(name, f"an integer from {low} to {high}")
    return value


def _boolean(document: Json, name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise fault(name, "a boolean")
    return bool(value)


def _seconds(document: Json, name: str) -> float | None:
    """Of a number of milliseconds. None where there is none, or llama.cpp's own mark for that, which is below 1."""
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise fault(name, "a number of milliseconds")
    return value / 1000 if value > 0 else None
