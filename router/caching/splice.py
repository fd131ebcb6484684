"""A stream that goes on where another one broke off: the same answer, made again."""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from router.caching.flight import Flight
from router.errors import EngineFailed
from router.http.event_stream import DONE, encode_event, read_events
from router.http.passing_sink import LaterSink

Json: TypeAlias = dict[str, Any]
Said: TypeAlias = dict[tuple[object, ...], str]
"""What was said, by where it was said: a choice's content, the arguments of its second tool call, ..."""

_SAID_ONCE: Final = frozenset({"id", "type", "name", "role"})
_NOT_SAID: Final = frozenset({"index", "logprobs", "finish_reason", "stop_reason"})


class Splice(LaterSink):
    """
    Takes the same answer from its beginning, and hands `flight` what it has not had.

    What is left has the first stream's id and date, since to clients it is that stream. Where the engine cuts an
    answer into tokens does not matter, only that its texts are the same.
    """

    def __init__(self, flight: Flight, said: bytes) -> None:
        """
        Args:
            said: what the flight has had: whole events.
        """
        super().__init__(flight)
        self.on_diverged: Callable[[], object] | None = None
        """Called once, when nothing more should come."""
        self._head, self._owed, self._finished = _read(said)
        self.diverged: EngineFailed | None = None
        """Why what the engine says now is not the rest of what it said first."""

    def send_whole(self, status: int, body: bytes) -> None:  # noqa: ARG002 - the sink's signature
        self._diverge(EngineFailed("The engine did not stream its answer when it was asked again.", from_engine=True))

    def write(self, data: bytes, *, is_last: bool) -> None:
        """Whole events of the second stream."""
        self.has_content = True
        if self.diverged is not None:
            return
        try:
            left = b"".join(self._left(data))
        except EngineFailed as error:
            self._diverge(error)
            return
        except (ValueError, AttributeError, TypeError) as error:
            self._diverge(EngineFailed(f"The engine's second stream cannot be read: {error!r}.", from_engine=True))
            return
        if left or is_last:
            self._sink.write(left, is_last=is_last)

    def _diverge(self, error: EngineFailed) -> None:
        self.diverged = error
        if self.on_diverged is not None:
            self.on_diverged()

    def _left(self, data: bytes) -> Iterator[bytes]:
        for event in read_events(data):
            if event is None:
                self._check_end()
                yield DONE
                continue
            had = bool(event.get("choices"))
            parts = [part for part in event.get("choices", ()) if self._take(part)]
            if parts or not had:
                yield encode_event({**event, **self._head, "choices": parts})

    def _take(self, part: Json) -> bool:
        """Leave in `part` what is new. Whether anything is."""
        index = part.get("index", 0)
        if index in self._finished:
            return False
        is_new = _cut(part, (index,), self._owed)
        if part.get("finish_reason") is None:
            return is_new
        self._check_end(index)
        return True

    def _check_end(self, index: object = None) -> None:
        owed = [place for place, text in self._owed.items() if text and place[-1] not in _SAID_ONCE]
        if any(index is None or place[0] == index for place in owed):
            raise EngineFailed("The engine said less when it was asked again.", from_engine=True)


def _cut(part: Json, place: tuple[object, ...], owed: Said) -> bool:
    """Take what was said out of `part`, which is changed. Whether anything is left in it."""
    is_new = False
    for name, value in tuple(part.items()):
        here = (*place, name)
        if name in _NOT_SAID:
            continue
        if isinstance(value, dict):
            is_new |= _cut(value, here, owed)
        elif isinstance(value, list):
            is_new |= _cut_list(value, here, owed)
        elif isinstance(value, str):
            part[name], is_new_text = _rest(value, here, owed)
            is_new |= is_new_text
            if name in _SAID_ONCE and not part[name]:
                del part[name]
    return is_new


def _cut_list(values: list[Any], place: tuple[object, ...], owed: Said) -> bool:
    is_new = False
    for value in tuple(values):
        if not isinstance(value, dict):
            continue
        if _cut(value, (*place, value.get("index", 0)), owed):
            is_new = True
        else:
            values.remove(value)
    return is_new


def _rest(text: str, place: tuple[object, ...], owed: Said) -> tuple[str, bool]:
    said = owed.get(place, "")
    if place[-1] in _SAID_ONCE and place in owed:
        return "", False  # ids differ each time, and a name is said only once
    if not said:
        return text, bool(text)
    length = min(len(said), len(text))
    if said[:length] != text[:length]:
        raise EngineFailed("The engine said something else when it was asked again.", from_engine=True)
    owed[place] = said[length:]
    return text[length:], len(text) > length


def _read(stream: bytes) -> tuple[Json, Said, set[object]]:
    """Of a stream so far: what all its events have in common, the choices that are finished, the others' texts."""
    head: Json = {}
    said: Said = {}
    finished: set[object] = set()
    for event in read_events(stream):
        if event is None:
            continue
        head = head or {name: event[name] for name in ("id", "created", "model") if name in event}
        for part in event.get("choices", ()):
            index = part.get("index", 0)
            _collect(part, (index,), said)
            if part.get("finish_reason") is not None:
                finished.add(index)
    return head, {place: text for place, text in said.items() if place[0] not in finished}, finished


def _collect(part: Json, place: tuple[object, ...], said: Said) -> None:
    for name, value in part.items():
        here = (*place, name)
        if name in _NOT_SAID:
            continue
        if isinstance(value, dict):
            _collect(value, here, said)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, dict):
                    _collect(item, (*here, item.get("index", 0)), said)
        elif isinstance(value, str):
            said[here] = said.get(here, "") + value
