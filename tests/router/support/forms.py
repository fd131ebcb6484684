"""Forms with a recording, byte for byte."""

import io
import wave

BOUNDARY = "b0undary"
FORM_HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
RECORDING = b"RIFF\r\n--b0undar\r\n\x00\xff"
"""Bytes that are nearly a boundary."""


def part(name: str, value: bytes | str, more: str = "") -> bytes:
    """One part. `more` follows the name, as in `; filename="a.wav"`."""
    data = value if isinstance(value, bytes) else value.encode()
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


def file_part(data: bytes = RECORDING) -> bytes:
    """The part with the recording."""
    return part("file", data, '; filename="a.wav"\r\nContent-Type: audio/wav')


def form(*parts: bytes) -> bytes:
    """A whole form of parts."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def recording_form(model: str = "m", data: bytes = RECORDING, **fields: str) -> bytes:
    """What a client sends to have a recording written down."""
    return form(file_part(data), part("model", model), *(part(name, value) for name, value in fields.items()))


def wav(duration_s: float = 1.0, sample_rate: int = 16_000) -> bytes:
    """Silence."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(bytes(2 * int(duration_s * sample_rate)))
    return written.getvalue()
