"""
The simulated engine's sound: a recording is told by its size and digest, a text becomes a tone for each character.

Both go through the scheduler as texts do: 20 ms of a recording, as WAV of 16 kHz, are one token to be read; four
characters of a text to be said are one that is made. A recording that is no WAV lasts as long as one of its size would.
"""

import base64
import hashlib
import io
import math
import re
import struct
import wave
from array import array
from dataclasses import dataclass
from functools import lru_cache

import orjson

from deployments.engines.simulated import requests as simulated_requests
from deployments.engines.simulated import tokens as simulated_tokens
from deployments.engines.simulated.answers import (
    ERRORS,
    STREAM_HEAD,
    Client,
    chunk,
    end_connection,
    response,
)
from deployments.engines.simulated.requests import ApiError, Choice, Failure, GenerationRequest, Json

BYTES_PER_S = 32_000
BYTES_PER_TOKEN = BYTES_PER_S // 50
SAMPLE_RATE = 8_000
SAMPLES_PER_CHAR = 400
"""50 ms at a speed of 1."""
_VOLUME = 8_000
_PARTS_OF_HEAD = re.compile(rb'(?:^|[;\s])name="([^"]*)"')
_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_SOUND_HEAD = b"HTTP/1.1 200 OK\r\nserver: simulated\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
_TEXT = b"text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class TranscriptRequest:
    generation: GenerationRequest
    task: str
    """`transcribe` or `translate`."""
    language: str
    response_format: str
    duration_s: float

    @property
    def text(self) -> str:
        return self.generation.choices[0].text


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    generation: GenerationRequest
    has_head: bool
    """A WAV's; bare samples have none."""
    is_sse: bool
    num_samples: int
    """For each character."""


def parse_recording(path: bytes, content_type: bytes, body: bytes, model: str, max_model_len: int) -> TranscriptRequest:
    """
    Raises:
        ApiError: 404 for another model's name; 400 for what is no form with a file, or has a wrong field.
    """
    form = _parts(content_type, body)
    recording = form.pop("file", b"")
    if not recording:
        raise ApiError(400, "file is missing or empty", param="file")
    fields: Json = {name: value.decode(errors="replace") for name, value in form.items()}
    simulated_requests.check_model(fields, model)
    response_format = str(fields.get("response_format", "json"))
    if response_format not in _FORMATS:
        raise ApiError(400, f"response_format must be one of {', '.join(_FORMATS)}", param="response_format")
    is_translation = path.endswith(b"translations")
    duration_s, digest = _duration_s(recording), hashlib.sha256(recording).hexdigest()
    text = f"{'Translated: a' if is_translation else 'A'} recording of {len(recording)} bytes and {duration_s:.2f} s, "
    text += f"with the digest {digest[:12]}."
    num_tokens = -(-len(recording) // BYTES_PER_TOKEN)
    if num_tokens + simulated_tokens.count(text) > max_model_len:
        message = f"This model's maximum context length is {max_model_len} tokens, and this recording has {num_tokens}."
        raise ApiError(400, message, param="file")
    is_stream = str(fields.get("stream", "")).lower() in ("true", "1")
    wishes: Json = {"simulated": simulated_requests.parse_json(form["simulated"])} if "simulated" in form else {}
    return TranscriptRequest(
        _generation(digest, num_tokens, text, wishes, is_stream=is_stream),
        "translate" if is_translation else "transcribe",
        "en" if is_translation else str(fields.get("language", "en")),
        response_format,
        duration_s,
    )


def parse_speech(body: bytes, model: str, max_model_len: int) -> SpeechRequest:
    """
    Raises:
        ApiError: 404 for another model's name; 400 for a wrong field, and for sound that is compressed.
    """
    fields = simulated_requests.parse_json(body)
    simulated_requests.check_model(fields, model)
    text = fields.get("input")
    if not isinstance(text, str) or not text:
        raise ApiError(400, "input must be a text that is not empty", param="input")
    if simulated_tokens.count(text) > max_model_len:
        raise ApiError(400, f"This model's maximum context length is {max_model_len} tokens.", param="input")
    response_format = fields.get("response_format", "wav")
    if response_format not in ("wav", "pcm"):
        raise ApiError(400, "the simulated engine makes wav and pcm, and compresses nothing", param="response_format")
    speed = fields.get("speed", 1.0)
    if not isinstance(speed, int | float) or not 0.25 <= speed <= 4:
        raise ApiError(400, "speed must be from 0.25 to 4", param="speed")
    return SpeechRequest(
        _generation(text, simulated_tokens.count(text), text, fields, is_stream=True),
        has_head=response_format == "wav",
        is_sse=fields.get("stream_format") == "sse",
        num_samples=round(SAMPLES_PER_CHAR / speed),
    )


def _generation(prompt: str, num_prompt_tokens: int, text: str, wishes: Json, *, is_stream: bool) -> GenerationRequest:
    return GenerationRequest(
        is_chat=False,
        is_stream=is_stream,
        has_usage_chunk=False,
        prompts=(prompt,),
        num_prompt_tokens=num_prompt_tokens,
        choices=(Choice(text, "stop"),),
        command=simulated_requests.read_command(wishes),
    )


def _parts(content_type: bytes, body: bytes) -> dict[str, bytes]:
    """The last of several parts with one name counts, as in vLLM."""
    kind, _, options = content_type.partition(b";")
    _, _, boundary = options.partition(b"boundary=")
    boundary = boundary.partition(b";")[0].strip().strip(b'"')
    if kind.strip().lower() != b"multipart/form-data" or not boundary:
        raise ApiError(400, "the body must be multipart/form-data with a boundary")
    parts: dict[str, bytes] = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        named = _PARTS_OF_HEAD.search(head)
        if named is not None:
            parts[named[1].decode(errors="replace")] = value.removesuffix(b"\r\n")
    return parts


def _duration_s(recording: bytes) -> float:
    try:
        with wave.open(io.BytesIO(recording)) as read:
            return float(read.getnframes() / read.getframerate())
    except (wave.Error, EOFError):
        return len(recording) / BYTES_PER_S


class TranscriptAnswer:
    """What was said, whole or in OpenAI's events."""

    def __init__(self, client: Client, asked: TranscriptRequest) -> None:
        self._client, self._asked = client, asked
        if asked.generation.is_stream:
            client.write(STREAM_HEAD)

    def send_tokens(self, start: int, end: int) -> None:
        size = simulated_tokens.NUM_TOKEN_CHARS
        deltas = (self._asked.text[place * size : (place + 1) * size] for place in range(start, end))
        self._client.write(b"".join(_event({"type": "transcript.text.delta", "delta": delta}) for delta in deltas))

    def finish(self, num_cached_tokens: int) -> None:  # noqa: ARG002  every answer's signature
        if self._asked.generation.is_stream:
            done: Json = {"type": "transcript.text.done", "text": self._asked.text, "usage": self._usage()}
            self._client.write(_event(done) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        else:
            self._client.write(self._whole())
        self._client.response_done()

    def fail(self, failure: Failure) -> None:
        if failure in ERRORS:
            is_stream = self._asked.generation.is_stream
            error = ERRORS[failure].body()
            self._client.write(chunk(b"data: " + error + b"\n\n") + b"0\r\n\r\n" if is_stream else response(500, error))
            self._client.response_done()
        elif failure == "half_event":
            whole = self._whole()
            self._client.write(whole[: -len(whole) // 4])
            self._client.close()
        else:
            end_connection(self._client, failure)

    def _usage(self) -> Json:
        return {"type": "duration", "seconds": math.ceil(self._asked.duration_s)}

    def _whole(self) -> bytes:
        asked = self._asked
        match asked.response_format:
            case "text":
                return response(200, asked.text.encode() + b"\n", _TEXT)
            case "srt":
                return response(200, f"1\n{self._span(',')}\n{asked.text}\n\n".encode(), _TEXT)
            case "vtt":
                return response(200, f"WEBVTT\n\n{self._span('.')}\n{asked.text}\n\n".encode(), _TEXT)
            case "verbose_json":
                return response(200, orjson.dumps(self._verbose()))
            case _:
                return response(200, orjson.dumps({"text": asked.text, "usage": self._usage()}))

    def _span(self, point: str) -> str:
        whole, rest = divmod(round(self._asked.duration_s * 1000), 1000)
        minutes, seconds = divmod(whole, 60)
        end = f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{rest:03}"
        return f"00:00:00{point}000 --> {end}"

    def _verbose(self) -> Json:
        asked = self._asked
        segment = {
            "id": 0, "seek": 0, "start": 0.0, "end": asked.duration_s, "text": asked.text,
            "tokens": simulated_tokens.ids(asked.text), "temperature": 0.0, "avg_logprob": 0.0,
            "compression_ratio": 1.0, "no_speech_prob": 0.0,
        }  # fmt: skip
        return {
            "task": asked.task, "language": asked.language, "duration": asked.duration_s, "text": asked.text,
            "segments": [segment], "usage": self._usage(),
        }  # fmt: skip


class SpeechAnswer:
    """Sound in parts, each of one token's characters: a file, or OpenAI's events."""

    def __init__(self, client: Client, asked: SpeechRequest) -> None:
        self._client, self._asked = client, asked
        kind = b"audio/wav" if asked.has_head else b"audio/pcm"
        client.write(STREAM_HEAD if asked.is_sse else _SOUND_HEAD % kind)

    def send_tokens(self, start: int, end: int) -> None:
        asked, size = self._asked, simulated_tokens.NUM_TOKEN_CHARS
        text = asked.generation.choices[0].text
        head = _wav_head(len(text) * asked.num_samples) if start == 0 and asked.has_head else b""
        sound = head + b"".join(_tone(ord(char), asked.num_samples) for char in text[start * size : end * size])
        if asked.is_sse:
            self._client.write(_event({"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode()}))
        else:
            self._client.write(chunk(sound))

    def finish(self, num_cached_tokens: int) -> None:  # noqa: ARG002  every answer's signature
        if self._asked.is_sse:
            num_tokens = self._asked.generation.num_prompt_tokens
            usage = {"input_tokens": num_tokens, "output_tokens": num_tokens, "total_tokens": 2 * num_tokens}
            self._client.write(_event({"type": "speech.audio.done", "usage": usage}))
        self._client.write(b"0\r\n\r\n")
        self._client.response_done()

    def fail(self, failure: Failure) -> None:
        """Sound has no words for an error, so each failure but a hang breaks it off."""
        end_connection(self._client, "cut" if failure in ("error", "half_event") else failure)


def _event(document: Json) -> bytes:
    return chunk(b"data: " + orjson.dumps(document) + b"\n\n")


def _wav_head(num_samples: int) -> bytes:
    """Of one channel with two bytes a sample."""
    size = 2 * num_samples
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)


@lru_cache(maxsize=1024)
def _tone(char: int, num_samples: int) -> bytes:
    """A character's own: 200 to 1460 Hz."""
    turn = 2 * math.pi * (200 + 20 * (char % 64)) / SAMPLE_RATE
    samples = array("h", (round(_VOLUME * math.sin(turn * place)) for place in range(num_samples)))
    return samples.tobytes()  # little-endian, as every machine here is
