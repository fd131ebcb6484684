"""A transport without a socket: a test decides which bytes arrive together."""

import asyncio


class MemoryTransport(asyncio.Transport):
    """Keeps what is written, and what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.calls: list[str] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.calls.append("close")
        self.is_closed = True

    def abort(self) -> None:
        self.calls.append("abort")
        self.is_closed = True

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")
