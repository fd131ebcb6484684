"""A chat or text completion taken to pieces, the same ones whether it was streamed or whole. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

Json: TypeAlias = dict[str, Any]


@dataclass(slots=True, frozen=True)
class Text:
    """More of what is said."""

    text: str


class Refusal(Text):
    """More of what is said instead of an answer, by endpoints that keep it apart."""


@dataclass(slots=True, frozen=True)
class Reasoning:
    """More of what is thought before it."""

    text: str


@dataclass(slots=True, frozen=True)
class ToolCall:
    """More of one tool call. Its first piece has the name; `arguments` is a part of a JSON text."""

    index: int
    call_id: str
    name: str
    arguments: str


@dataclass(slots=True, frozen=True)
class Finish:
    """Why it ended, in OpenAI's word. `stop` is the text at which it stopped, where the engine says that."""

    reason: str
    stop: str | None


@dataclass(slots=True, frozen=True)
class Counts:
    """
    The engine's count. `num_cached_tokens` are those of the prompt that were not read anew, `num_reasoning_tokens`
    those of the completion that were thought: 0 where the engine does not say.
    """

    num_prompt_tokens: int
    num_completion_tokens: int
    num_cached_tokens: int
    num_reasoning_tokens: int = 0


Piece: TypeAlias = Text | Reasoning | ToolCall | Finish | Counts


def pieces_of(document: Json) -> Iterator[Piece]:
    """
    The pieces in one event of a stream, or in a whole answer, of its first choice. None is empty.

    What is not as OpenAI has it is passed over.
    """
    for choice in _objects(document.get("choices")):
        if choice.get("index", 0) != 0:
            continue
        said = choice.get("message") if "message" in choice else choice.get("delta")
        yield from _said(said if isinstance(said, dict) else {})
        text = choice.get("text")
        if isinstance(text, str) and text:
            yield Text(text)
        reason, stop = choice.get("finish_reason"), choice.get("stop_reason")
        if isinstance(reason, str) and reason:
            yield Finish(reason, stop if isinstance(stop, str) else None)
    usage = document.get("usage")
    if isinstance(usage, dict):
        yield Counts(
            _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")),
            _detail(usage, "prompt_tokens_details", "cached_tokens"),
            _detail(usage, "completion_tokens_details", "reasoning_tokens"),
        )  # fmt: skip


def _said(said: Json) -> Iterator[Piece]:
    reasoning = said.get("reasoning_content") or said.get("reasoning")  # vLLM has had both names
    if isinstance(reasoning, str) and reasoning:
        yield Reasoning(reasoning)
    text = said.get("content")
    if isinstance(text, str) and text:
        yield Text(text)
    refusal = said.get("refusal")
    if isinstance(refusal, str) and refusal:
        yield Refusal(refusal)
    for number, call in enumerate(_objects(said.get("tool_calls"))):
        index, function = call.get("index", number), call.get("function")
        parts = function if isinstance(function, dict) else {}
        yield ToolCall(
            index if isinstance(index, int) else number,
            _string(call.get("id")), _string(parts.get("name")), _string(parts.get("arguments")),
        )  # fmt: skip


def pieces_of_whole(completion: Json) -> Iterator[Piece]:
    """
    Raises:
        ValueError: it holds no answer.
    """
    if not any(True for _ in _objects(completion.get("choices"))):
        raise ValueError("a completion without a choice")
    in_order = InOrder()
    for piece in pieces_of(completion):
        yield from in_order.take(piece)
    yield from in_order.rest()


class InOrder:
    """
    Hands pieces on so that all of one tool call come together.

    Most APIs want a block to be whole before the next one begins, and engines write so, too. One that mixes two calls
    is recognised by the first one's arguments, which are not yet JSON: the other's pieces are held back until they
    are, or until the answer ends.
    """

    def __init__(self) -> None:
        self._current: int | None = None
        """The tool call that is being written."""
        self._arguments: list[str] = []
        self._whole: set[int] = set()
        self._held: list[Piece] = []

    def take(self, piece: Piece) -> Iterator[Piece]:
        """What can be handed on, now that `piece` is there."""
        if isinstance(piece, Counts):
            yield piece
        elif isinstance(piece, Finish):
            yield from self.rest()
            yield piece
        elif isinstance(piece, ToolCall) and piece.index == self._current:
            self._arguments.append(piece.arguments)
            yield piece
            if self._held and self._is_whole():
                yield from self._release()
        elif self._held or not self._is_whole():
            self._held.append(piece)
        else:
            yield from self._begin(piece)

    def rest(self) -> Iterator[Piece]:
        """What is still held back, now that nothing more comes."""
        held = [piece for piece in self._held if not self._is_late(piece)]
        self._held = []
        places = list(dict.fromkeys(map(_place, held)))
        yield from sorted(held, key=lambda piece: places.index(_place(piece)))
        self._whole.update(piece.index for piece in held if isinstance(piece, ToolCall))
        self._end_current()

    def _begin(self, piece: Piece) -> Iterator[Piece]:
        if self._is_late(piece):
            return
        self._end_current()
        if isinstance(piece, ToolCall):
            self._current, self._arguments = piece.index, [piece.arguments]
        yield piece

    def _is_late(self, piece: Piece) -> bool:
        """More of a call whose arguments were whole: nothing that a client could use."""
        return isinstance(piece, ToolCall) and piece.index in self._whole

    def _end_current(self) -> None:
        if self._current is not None:
            self._whole.add(self._current)
        self._current = None

    def _release(self) -> Iterator[Piece]:
        held, self._held = self._held, []
        for piece in held:
            yield from self.take(piece)

    def _is_whole(self) -> bool:
        if self._current is None:
            return True
        try:
            orjson.loads("".join(self._arguments))
        except orjson.JSONDecodeError:
            return False
        return True


def _place(piece: Piece) -> tuple[type[Piece], int]:
    return type(piece), piece.index if isinstance(piece, ToolCall) else 0


def _objects(values: object) -> Iterator[Json]:
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, dict))


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _detail(usage: Json, name: str, count: str) -> int:
    details = usage.get(name)
    return _count(details.get(count)) if isinstance(details, dict) else 0


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
