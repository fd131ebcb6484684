"""Sound while its client waits, and what is counted of it."""

import asyncio

import orjson
import pytest
from door import Door, OpenDoor
from forms import FORM_HEADERS, recording_form
from polling import eventually
from scripted_engine import ScriptedEngine
from wire import DONE, LAST_CHUNK, STREAM_HEAD, chunk, event, plain, stream, whole

from configs.engine import Task
from configs.router import RequestSettings
from router.http.event_stream import Usage
from router.http.sound_events import SoundEvents
from router.metrics import AUDIO_SECONDS, COMPLETION_TOKENS, PROMPT_TOKENS

TRANSCRIPTIONS, SPEECH = "/v1/audio/transcriptions", "/v1/audio/speech"
SPOKEN: dict[str, object] = {"model": "m", "input": "Hello.", "voice": "alloy"}
KEEP_ALIVE = b": keep-alive\n\n"
DELTA = event({"type": "transcript.text.delta", "delta": "hello"})
TOKEN_USAGE = {"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18}
HEARD: dict[str, object] = {"text": "hello", "usage": {"type": "duration", "seconds": 3}}
STREAMED = recording_form(stream="true")


async def open_impatient(open_door: OpenDoor, engine: ScriptedEngine, task: Task) -> Door:
    """A router that gives its first sign of life almost at once."""
    door = await open_door(RequestSettings(early_headers_s=0.01))
    door.serve_with(engine.replica("a1", profile="vllm", task=task))
    return door


@pytest.mark.parametrize(
    ("path", "body", "task"),
    [(TRANSCRIPTIONS, STREAMED, "transcribe"), (SPEECH, {**SPOKEN, "stream_format": "sse"}, "speak")],
)
async def test_a_client_that_waits_for_events(
    path: str, body: object, task: Task, open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """Gets its headers early, signs of life, and then the engine's events."""
    door, gate = await open_impatient(open_door, engine, task), asyncio.Event()
    engine.script(gate, stream(DELTA))
    with await door.client() as client:
        await client.post(body, path, FORM_HEADERS if task == "transcribe" else {})
        assert b"content-type: text/event-stream" in await client.until(KEEP_ALIVE)
        gate.set()
        assert DELTA in await client.until(LAST_CHUNK)


async def test_a_client_that_waits_for_a_text(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Is sent nothing before it: a text has no comments."""
    door, gate = await open_impatient(open_door, engine, "transcribe"), asyncio.Event()
    engine.script(gate, whole(HEARD))
    engine.script(stream(DELTA))
    with await door.client() as client, await door.client() as other:
        await client.post(recording_form(), TRANSCRIPTIONS, FORM_HEADERS)
        await eventually(lambda: len(engine.requests) == 1)
        await other.post(STREAMED, TRANSCRIPTIONS, FORM_HEADERS)
        await other.until(LAST_CHUNK)
        gate.set()
        answer = await client.answer()
    assert (200, orjson.dumps(HEARD), "application/json") == (
        answer.status,
        answer.body,
        answer.headers["content-type"],
    )


async def waited_for(open_door: OpenDoor, engine: ScriptedEngine, answer: bytes, last: bytes | None = None) -> bytes:
    """What a client that asked for events gets, up to `last` or a cut, when `answer` comes after its headers."""
    door, gate = await open_impatient(open_door, engine, "transcribe"), asyncio.Event()
    engine.script(gate, answer)
    with await door.client() as client:
        await client.post(STREAMED, TRANSCRIPTIONS, FORM_HEADERS)
        await client.until(KEEP_ALIVE)
        gate.set()
        return await (client.ended() if last is None else client.until(last))


async def test_a_text_for_who_was_promised_events(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Becomes events: OpenAI's own Whisper passes over `stream` without a word."""
    got = await waited_for(open_door, engine, whole(HEARD), LAST_CHUNK)
    assert DELTA + event({"type": "transcript.text.done", **HEARD}) in got


@pytest.mark.parametrize(
    "answer", [plain(b"\xff\xf3", content_type="audio/mpeg"), plain(b"1", content_type="application/x-subrip")]
)
async def test_no_events_for_who_was_promised_them(answer: bytes, open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Is an error that the client can read."""
    got = await waited_for(open_door, engine, answer)
    assert b"did not answer with events" in got
    assert not got.endswith(LAST_CHUNK)


async def test_an_error_for_who_was_promised_events(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Is an event."""
    got = await waited_for(open_door, engine, whole({"error": {"message": "no sound in it"}}, 400))
    assert b'data: {"error":{"message":"no sound in it"' in got


async def test_vllms_events_end_at_their_end_mark(
    open_door: OpenDoor, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its connection does then."""
    monkeypatch.setattr("router.replicas.upstream.LAST_WORDS_S", 0.01)
    door = await open_door()
    door.serve_with(engine.replica("a1", profile="vllm", task="transcribe"))
    engine.script(STREAM_HEAD, chunk(DELTA), chunk(DONE), asyncio.Event())
    got = await door.post(STREAMED, TRANSCRIPTIONS, FORM_HEADERS)
    assert (DELTA + DONE, True) == (got.body, got.is_whole)
    await eventually(lambda: door.num_running == 0 and engine.num_open == 0)


VERBOSE = whole({"text": "hello", "duration": "2.5", "segments": []})
VLLMS = event({"object": "transcription.chunk", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})
SPOKEN_USAGE = event({"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 9}})


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (whole(HEARD), (0, 0, 3)),
        (whole({"text": "hello", "usage": TOKEN_USAGE}), (14, 4, 0)),
        (VERBOSE, (0, 0, 2.5)),
        (plain(b"hello"), (0, 0, 0)),
        (whole(["hello"]), (0, 0, 0)),
        (whole({"text": "hello", "usage": {"seconds": "many", "input_tokens": None}}), (0, 0, 0)),
        (stream(DELTA, event({"type": "transcript.text.done", "text": "hello", "usage": TOKEN_USAGE})), (14, 4, 0)),
        (stream(DELTA, VLLMS, DONE), (7, 5, 0)),
        (stream(DELTA, b'data: {"usage"\n\n'), (0, 0, 0)),
    ],
)
async def test_what_the_engine_says_that_it_took(
    answer: bytes, counted: tuple[float, ...], open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """Is counted: tokens, seconds, or nothing where it says nothing."""
    door = await open_door()
    door.serve_with(engine.replica("a1", profile="vllm", task="transcribe"))
    engine.script(answer)
    assert 200 == (await door.post(recording_form(), TRANSCRIPTIONS, FORM_HEADERS)).status
    assert counted == tuple(
        door.sink.total(metric, model="m") for metric in (PROMPT_TOKENS, COMPLETION_TOKENS, AUDIO_SECONDS)
    )


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_events_may_be_cut_anywhere(size: int, newline: bytes) -> None:
    """Within a line's end, too."""
    data = (DELTA + SPOKEN_USAGE + DONE).replace(b"\n", newline)
    heard = SoundEvents()
    for start in range(0, len(data), size):
        assert not heard.is_done
        heard.note(data[start : start + size])
    assert (Usage(3, 9), True) == (heard.usage, heard.is_done)
