"""What is to be known of the events in which an engine tells what it heard, or speaks."""

from collections.abc import Mapping

import orjson

from router.http.event_stream import Usage, read_events

_MAX_EVENT_BYTES = 4_194_304
"""Of an event that is looked into: one with sound may be long, and none with a usage is."""
_DONE = b"data: [DONE]"


class SoundEvents:
    """Reads along. `is_done` once `[DONE]` has come, which vLLM sends and OpenAI does not."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.is_done = False
        self._rest = bytearray()

    def note(self, data: bytes) -> None:
        """The next bytes of the stream, however they are cut."""
        self._rest += data
        if b"\n\n" not in data and b"\n\r\n" not in data and not self._rest.endswith((b"\n\n", b"\n\r\n")):
            if len(self._rest) > _MAX_EVENT_BYTES:
                self._rest.clear()
            return
        *events, rest = bytes(self._rest).replace(b"\r\n", b"\n").split(b"\n\n")
        self._rest = bytearray(rest)
        for event in events:
            self._read(event)

    def _read(self, event: bytes) -> None:
        if event == _DONE:
            self.is_done = True
        elif b'"usage"' in event:
            try:
                document = next(read_events(event), None)
            except orjson.JSONDecodeError:
                return
            self.usage = (read_sound_usage(document) if isinstance(document, dict) else None) or self.usage


def read_sound_usage(document: Mapping[str, object]) -> Usage | None:
    """
    Tokens, in OpenAI's words for sound or in those for chats, or seconds; None where the engine says nothing of them.

    Source: OpenAI's `usage` of a transcription has the type `tokens` or `duration`; vLLM's is a duration, and within a
    stream that of a chat. `verbose_json` has had a `duration` for longer.
    """
    usage = document.get("usage")
    said: Mapping[str, object] = usage if isinstance(usage, dict) else {}
    num_read = _number(said.get("input_tokens", said.get("prompt_tokens")))
    num_written = _number(said.get("output_tokens", said.get("completion_tokens")))
    audio_s = _number(said.get("seconds", document.get("duration")))
    if not (num_read or num_written or audio_s):
        return None
    return Usage(int(num_read), int(num_written), audio_s)


def _number(value: object) -> float:
    """Some write it as a text. 0 where it is none."""
    try:
        number = float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return 0.0
    return number if 0 < number < 1e12 else 0.0
