"""A child's stdout and stderr as lines."""

import asyncio
from collections.abc import Callable

MAX_LINE_BYTES = 8192
"""Longer lines are cut: the width of a log, not of a memory dump."""


class LineReader(asyncio.Protocol):
    """
    Hands on each line of one stream, decoded, without its line end.

    Bytes that are not UTF-8 are replaced. Of a line that overwrites itself with carriage returns (a progress bar) only
    the last state is handed on. A last line without line end counts.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._partial = b""
        self._is_cut = False
        """The line in `_partial` was too long; the rest of it, up to its line end, is dropped."""
        self.ended = asyncio.Event()
        """Set once nobody can write to the stream any more."""

    def data_received(self, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._emit(line)
        if len(self._partial) > MAX_LINE_BYTES and not self._is_cut:
            self._emit(self._partial)
            self._is_cut = True
        if self._is_cut:
            self._partial = b""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        if self._partial:
            self._emit(self._partial)
        self.ended.set()

    def _emit(self, line: bytes) -> None:
        if self._is_cut:
            self._is_cut = False
            return
        kept = line[:MAX_LINE_BYTES].rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        self._on_line(f"{kept} [cut]" if len(line) > MAX_LINE_BYTES else kept)
