"""Two takers of an engine's answer: one that passes it on and keeps a copy, one that only keeps it."""

from collections.abc import Callable

from router.http.answer import AnswerSink
from router.http.passing_sink import PassingSink

MAX_KEPT_BYTES = 262_144
"""Size of an answer beyond which it is not compared, in bytes: to read more of them would take the router's time."""


class Heard:
    """What came of an answer, and when, in the time of `now`. `is_whole` says that all of it came, and was kept."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._parts: list[bytes] = []
        self._num_bytes = 0
        self.first_at: float | None = None
        self.last_at = 0.0
        self.is_stream = False
        self.is_whole = False

    @property
    def data(self) -> bytes:
        return b"".join(self._parts)

    def hear(self, data: bytes, *, is_last: bool) -> None:
        self.last_at = self._now()
        if self.first_at is None:
            self.first_at = self.last_at
        self._num_bytes += len(data)
        if self._num_bytes > MAX_KEPT_BYTES:
            self._parts.clear()
        else:
            self._parts.append(data)
            self.is_whole = is_last


class Listening(PassingSink):
    """An `AnswerSink` that is `sink` for whoever writes to it."""

    def __init__(self, sink: AnswerSink, heard: Heard) -> None:
        super().__init__(sink)
        self.heard = heard

    @property
    def has_content(self) -> bool:
        return self._sink.has_content

    def start_stream(self) -> None:
        self.heard.is_stream = True
        self._sink.start_stream()

    def write(self, data: bytes, *, is_last: bool) -> None:
        self._sink.write(data, is_last=is_last)
        self.heard.hear(data, is_last=is_last)

    def send_whole(self, status: int, body: bytes) -> None:
        self._sink.send_whole(status, body)
        self.heard.hear(body, is_last=True)


class Keeping:
    """An `AnswerSink` behind which nobody is. It is never full."""

    on_full: Callable[[], None] | None = None
    on_drained: Callable[[], None] | None = None
    full_since: float | None = None
    unread = None

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.status: int | None = None
        self.has_content = False
        self.is_complete = False

    def start_stream(self) -> None:
        self.status = 200
        self.heard.is_stream = True

    def write(self, data: bytes, *, is_last: bool) -> None:
        self.has_content = self.has_content or bool(data)
        self.is_complete = is_last
        self.heard.hear(data, is_last=is_last)

    def send_whole(self, status: int, body: bytes) -> None:
        self.status = status
        self.write(body, is_last=True)
