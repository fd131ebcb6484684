"""Sinks in front of another one."""

from collections.abc import Callable

from router.http.answer import AnswerSink


class PassingSink:
    """Hands on what concerns the client's pace and status. What is written is the subclass's affair."""

    unread = None

    def __init__(self, sink: AnswerSink) -> None:
        self._sink = sink

    @property
    def on_full(self) -> Callable[[], None] | None:
        return self._sink.on_full

    @on_full.setter
    def on_full(self, call: Callable[[], None] | None) -> None:
        self._sink.on_full = call

    @property
    def on_drained(self) -> Callable[[], None] | None:
        return self._sink.on_drained

    @on_drained.setter
    def on_drained(self, call: Callable[[], None] | None) -> None:
        self._sink.on_drained = call

    @property
    def status(self) -> int | None:
        return self._sink.status

    @property
    def full_since(self) -> float | None:
        return self._sink.full_since

    @property
    def is_complete(self) -> bool:
        return self._sink.is_complete


class LaterSink(PassingSink):
    """Of a stream that has begun. `has_content` says whether anything came by way of this sink."""

    def __init__(self, sink: AnswerSink) -> None:
        super().__init__(sink)
        self.has_content = False

    def start_stream(self) -> None:
        """It has begun long ago."""
