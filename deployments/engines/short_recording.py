"""A second of silence in a form: the cheapest request of a model that transcribes."""

import io
import wave
from collections.abc import Mapping
from typing import Final

SAMPLE_RATE: Final = 16_000
_BOUNDARY: Final = "enginehouse-7d1f3a52c6e84b09"


def silence(duration_s: float = 1.0) -> bytes:
    """A WAV of one channel, two bytes a sample."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(bytes(2 * int(duration_s * SAMPLE_RATE)))
    return written.getvalue()


def form_of(fields: Mapping[str, object], recording: bytes) -> tuple[bytes, str]:
    """The fields and the recording as multipart/form-data, and its content type. No value has our boundary in it."""
    parts = [_part(f'name="{name}"', str(value).encode()) for name, value in fields.items()]
    parts.append(_part('name="file"; filename="recording.wav"', recording))
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={_BOUNDARY}"


def _part(named: str, value: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\ncontent-disposition: form-data; {named}\r\n\r\n"
    return head.encode() + value + b"\r\n"
