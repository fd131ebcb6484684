"""Recordings and speech through a real router, asked of engines that answer by script."""

import asyncio

import orjson
import pytest
from door import APPLICATION, Door, OpenDoor
from forms import FORM_HEADERS, file_part, form, part, recording_form
from polling import eventually
from raw_client import ClientAnswer
from scripted_engine import Ending, ScriptedEngine, Step
from wire import CHAT, DONE, LAST_CHUNK, STREAM_HEAD, chunk, event, plain, stream, whole

from configs.capabilities import CapabilitySettings
from configs.engine import Task
from configs.limits import ModelLimits
from configs.router import ListenerSettings, RequestSettings
from router.metrics import REQUESTS, RETRIES
from router.replicas.registry import Replica
from router.replicas.statement import Statement

TRANSCRIPTIONS, TRANSLATIONS, SPEECH = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech"
SPOKEN: dict[str, object] = {"model": "m", "input": "Hello.", "voice": "alloy"}
HEARD: dict[str, object] = {"text": "hello", "usage": {"type": "duration", "seconds": 1}}
SOUND_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
CODE = "model_does_not_support"


@pytest.fixture
async def door(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router whose model `m`, or `default`, writes down what it hears."""
    opened = await open_door()
    opened.serve_with(engine.replica("a1", profile="vllm", task="transcribe"))
    return opened


@pytest.fixture
async def speaking(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router whose model `m` speaks."""
    opened = await open_door()
    opened.serve_with(engine.replica("s1", profile="front", task="speak"))
    return opened


async def send(door: Door, raw: bytes | None = None, path: str = TRANSCRIPTIONS, **headers: str) -> ClientAnswer:
    return await door.post(recording_form() if raw is None else raw, path, {**FORM_HEADERS, **headers})


# what goes to the engine, and what comes back


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS])
async def test_a_form_goes_through_as_it_is(path: str, door: Door, engine: ScriptedEngine) -> None:
    """To the byte, with its boundary; so does the answer, and both have the request's id."""
    engine.script(whole(HEARD))
    sent = recording_form(language="de", unknown_field="1")
    got = await send(door, sent, path, **{"x-request-id": "req-7"})
    [request] = engine.requests
    assert (path, sent, FORM_HEADERS["content-type"]) == (request.path, request.body, request.headers["content-type"])
    assert (200, orjson.dumps(HEARD), "req-7") == (got.status, got.body, got.headers["x-request-id"])
    assert "req-7" == request.headers["x-request-id"]


async def test_an_alias_becomes_the_models_name(door: Door, engine: ScriptedEngine) -> None:
    """Nothing else of the form is touched."""
    engine.script(whole(HEARD))
    await send(door, recording_form("default"))
    assert recording_form("m") == engine.requests[0].body


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"hello\n", "text/plain; charset=utf-8"),
        (b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", "application/x-subrip"),
        (b"WEBVTT\n", "text/vtt"),
        (b'{"text": "hel\xe9"}', "application/json"),
        (b"", "text/plain"),
    ],
)
async def test_texts_come_with_their_content_type(
    body: bytes, content_type: str, door: Door, engine: ScriptedEngine
) -> None:
    """Whether or not they are JSON."""
    engine.script(plain(body, content_type=content_type))
    got = await send(door)
    assert (200, body, content_type) == (got.status, got.body, got.headers["content-type"])


async def test_events_go_through_as_they_come(door: Door, engine: ScriptedEngine) -> None:
    """With or without an end mark of their own; the first is with the client before the last is there."""
    rest = asyncio.Event()
    first, last = event({"type": "transcript.text.delta", "delta": "hel"}), event({"type": "transcript.text.done"})
    engine.script(STREAM_HEAD, chunk(first), rest, chunk(last), LAST_CHUNK)
    with await door.client() as client:
        await client.post(recording_form(stream="true"), TRANSCRIPTIONS, FORM_HEADERS)
        before = await client.until(first)
        rest.set()
        after = await client.until(LAST_CHUNK)
    assert b"content-type: text/event-stream\r\n" in before
    assert last in after
    assert DONE not in after


async def test_vllms_events_keep_their_end_mark(door: Door, engine: ScriptedEngine) -> None:
    """Which it has."""
    delta = event({"object": "transcription.chunk", "choices": [{"delta": {"content": "hel"}}]})
    engine.script(stream(delta, DONE))
    assert delta + DONE == (await send(door, recording_form(stream="true"))).body


async def test_sound_goes_through_as_it_comes(speaking: Door, engine: ScriptedEngine) -> None:
    """In parts, without a word of ours between them."""
    rest = asyncio.Event()
    engine.script(SOUND_HEAD, chunk(b"\xff\xf3 one"), rest, chunk(b"two"), LAST_CHUNK)
    with await speaking.client() as client:
        await client.post(SPOKEN, SPEECH)
        await client.until(b"\xff\xf3 one")
        rest.set()
        assert b"two" in await client.until(LAST_CHUNK)
    assert SPOKEN == engine.requests[0].document


async def test_sound_whose_length_is_known(speaking: Door, engine: ScriptedEngine) -> None:
    """Keeps it, so that a client sees how far it has come."""
    engine.script(plain(b"\x00" * 100_000, content_type="audio/wav"))
    got = await speaking.post({**SPOKEN, "model": "default", "stream_format": "audio"}, SPEECH)
    assert ("audio/wav", "100000") == (got.headers["content-type"], got.headers["content-length"])
    assert b"\x00" * 100_000 == got.body
    assert "m" == engine.requests[0].document["model"]


# who answers


async def test_another_replica_answers(door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """Where the first is lost or overloaded before the client has anything, with the whole recording."""
    door.serve_with(*(one.replica(f"a{one.port}", "vllm", task="transcribe") for one in (engine, other_engine)))
    steps: list[tuple[Step, ...]] = [
        (Ending.RESET,),
        (whole({"error": {"message": "busy"}}, 503),),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{", Ending.RESET),
    ]
    other_engine.otherwise = [whole(HEARD)]
    for script in steps:
        engine.otherwise = script
        assert [200, 200] == [(await send(door)).status for _ in range(2)]
    assert {recording_form()} == {request.body for request in (*engine.requests, *other_engine.requests)}
    assert door.sink.total(RETRIES) >= 1


async def test_sound_that_breaks_off(speaking: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """Is cut for the client as well, and nothing that is no sound is put behind it; nobody else is asked."""
    speaking.serve_with(*(one.replica(f"s{one.port}", "front", task="speak") for one in (engine, other_engine)))
    for one in (engine, other_engine):
        one.otherwise = [SOUND_HEAD, chunk(b"one"), Ending.RESET]
    got = await speaking.post(SPOKEN, SPEECH)
    assert (b"one", False) == (got.body, got.is_whole)
    assert 1 == len(engine.requests) + len(other_engine.requests)
    assert 1 == speaking.sink.total(REQUESTS, route=SPEECH, code="engine_failed")


async def test_events_that_break_off(door: Door, engine: ScriptedEngine) -> None:
    """End with an error, as those of a chat."""
    first = event({"type": "transcript.text.delta", "delta": "hel"})
    engine.script(STREAM_HEAD, chunk(first), Ending.RESET)
    got = await send(door, recording_form(stream="true"))
    assert ("engine_failed", False) == (got.error_event["code"], got.is_whole)
    assert got.body.startswith(first)


async def test_a_client_that_leaves(speaking: Door, engine: ScriptedEngine) -> None:
    """Takes the engine's request with it."""
    engine.script(SOUND_HEAD, chunk(b"one"), asyncio.Event())
    with await speaking.client() as client:
        await client.post(SPOKEN, SPEECH)
        await client.until(b"one")
    await eventually(lambda: engine.num_open == 0)
    await eventually(lambda: speaking.sink.total(REQUESTS, route=SPEECH, code="client_disconnected") == 1)
    assert 0 == speaking.num_running


async def test_requests_are_counted(door: Door, engine: ScriptedEngine) -> None:
    """By route, model and outcome."""
    engine.script(whole(HEARD))
    await send(door)
    await send(door, form(part("model", "m")))
    assert 1 == door.sink.total(REQUESTS, route=TRANSCRIPTIONS, code="ok", model="m")
    assert 1 == door.sink.total(REQUESTS, route=TRANSCRIPTIONS, code="invalid_request")


# who may ask, and how much


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, TRANSLATIONS, SPEECH])
async def test_a_key_is_needed(path: str, open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """As everywhere, in any header or in the path."""
    door = await open_door(keys=["k1"])
    is_speech = path == SPEECH
    door.serve_with(engine.replica("a1", task="speak" if is_speech else "transcribe"))
    engine.otherwise = [whole(HEARD)]
    headers = {} if is_speech else FORM_HEADERS
    body = orjson.dumps(SPOKEN) if is_speech else recording_form()
    statuses = [(await door.post(body, where, {**headers, **key})).status for where, key in [
        (path, {}), (path, {"x-api-key": "k2"}), (path, {"x-api-key": "k1"}), (f"/k/k1{path}", {}),
    ]]  # fmt: skip
    assert [401, 401, 200, 200] == statuses


@pytest.mark.parametrize("path", [TRANSCRIPTIONS, SPEECH])
async def test_other_methods(path: str, door: Door) -> None:
    """Are refused with those that there are."""
    got = await door.ask("GET", path)
    assert (405, "POST", "method_not_allowed") == (got.status, got.headers["allow"], got.error["code"])


@pytest.mark.parametrize(
    ("body", "headers", "path", "status"),
    [
        (recording_form(data=bytes(100_000)), FORM_HEADERS, TRANSCRIPTIONS, 200),
        (recording_form(data=bytes(400_000)), FORM_HEADERS, TRANSCRIPTIONS, 413),
        (orjson.dumps({**SPOKEN, "input": "a" * 10_000}), {}, SPEECH, 413),
        (orjson.dumps({**CHAT, "user": "a" * 10_000}), {}, "/v1/chat/completions", 413),
    ],
)
async def test_a_recording_may_be_larger_than_other_bodies(
    *, body: bytes, headers: dict[str, str], path: str, status: int, open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """What is too large is refused before an engine hears of it."""
    door = await open_door(listener=ListenerSettings(max_body_bytes=10_000, max_recording_bytes=100_000))
    door.serve_with(engine.replica("a1", task="transcribe"))
    engine.script(whole(HEARD))
    got = await door.post(body, path, headers)
    assert status == got.status
    assert (status == 200) == bool(engine.requests)


async def test_a_larger_limit_of_bodies_counts_for_recordings(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Whoever raised it for them need not say it twice."""
    door = await open_door(listener=ListenerSettings(max_body_bytes=1_000_000, max_recording_bytes=1024))
    door.serve_with(engine.replica("a1", task="transcribe"))
    engine.script(whole(HEARD))
    assert 200 == (await send(door, recording_form(data=bytes(900_000)))).status


async def test_the_limits_of_a_model(door: Door, engine: ScriptedEngine) -> None:
    """So many requests at once; those of its tokens say nothing of a recording."""
    door.set_route(limits=ModelLimits(max_requests=1, max_prompt_tokens=16))
    rest = asyncio.Event()
    engine.script(rest, whole(HEARD))
    with await door.client() as client:
        await client.post(recording_form(data=bytes(100_000)), TRANSCRIPTIONS, FORM_HEADERS)
        await eventually(lambda: len(engine.requests) == 1)
        refused = await send(door)
        rest.set()
        answered = await client.answer()
    assert (503, "engine_overloaded", 200) == (refused.status, refused.error["code"], answered.status)


async def test_an_engine_that_is_silent(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Is given up after the time that it has for its first byte."""
    door = await open_door(requests=RequestSettings(first_byte_timeout_s=0.2))
    door.serve_with(engine.replica("a1", task="transcribe"))
    engine.script(asyncio.Event())
    got = await send(door)
    assert (504, "engine_timeout") == (got.status, got.error["code"])


# what is wrong with a request


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "1.5"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"stream": "perhaps"}, "stream"),
        ({"response_format": "mp3"}, "response_format"),
        ({"model": "nobody"}, "model"),
    ],
)
async def test_a_wrong_field_of_a_form(fields: dict[str, str], param: str, door: Door, engine: ScriptedEngine) -> None:
    """Is named."""
    model = fields.pop("model", "m")
    got = await send(door, recording_form(model, **fields))
    assert (404 if model == "nobody" else 400, param) == (got.status, got.error["param"])
    assert [] == engine.requests


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a"]}, "input"),
        ({"voice": 5}, "voice"),
        ({"speed": 9}, "speed"),
        ({"stream_format": "flac"}, "stream_format"),
        ({"response_format": 1}, "response_format"),
        ({"model": None}, "model"),
    ],
)
async def test_a_wrong_field_of_a_text(
    fields: dict[str, object], param: str, speaking: Door, engine: ScriptedEngine
) -> None:
    """Is named as well; formats and voices are the engine's to judge."""
    got = await speaking.post({**SPOKEN, **fields}, SPEECH)
    assert (400, param) == (got.status, got.error["param"])
    assert [] == engine.requests


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (recording_form()[:-9], 400),
        (form(file_part(), part("model", "m"), part("model", "m")), 400),
        (form(file_part(), part("model", "m"), part("prompt", "a" * 70_000)), 413),
    ],
)
async def test_a_form_that_is_none(raw: bytes, status: int, door: Door, engine: ScriptedEngine) -> None:
    """Is refused in OpenAI's envelope."""
    got = await send(door, raw)
    assert (status, "invalid_request_error") == (got.status, got.error["type"])
    assert [] == engine.requests


async def test_what_the_engine_refuses(door: Door, engine: ScriptedEngine) -> None:
    """Is told in its words."""
    engine.script(whole({"error": {"message": "Invalid or unsupported audio file.", "param": "file"}}, 400))
    got = await send(door)
    assert (400, "Invalid or unsupported audio file.", "file", "engine") == (
        got.status, got.error["message"], got.error["param"], got.headers["x-enginehouse-error-source"],
    )  # fmt: skip


# models without sound


@pytest.mark.parametrize(
    ("task", "path", "message"),
    [
        ("embed", TRANSCRIPTIONS, "makes embeddings: ask it at /v1/embeddings, not at /v1/audio/transcriptions"),
        ("speak", TRANSLATIONS, "says a text: ask it at /v1/audio/speech, not at"),
        ("transcribe", SPEECH, "ask it at /v1/audio/transcriptions or /v1/audio/translations, not at /v1/audio/speech"),
        ("transcribe", "/v1/chat/completions", "writes down what is said in a recording: ask it at"),
    ],
)
async def test_a_model_of_another_task(
    *, task: Task, path: str, message: str, door: Door, engine: ScriptedEngine
) -> None:
    """Is not asked; the refusal says what it is for."""
    door.serve_with(engine.replica("other", task=task))
    bodies: dict[str, object] = {SPEECH: SPOKEN, "/v1/chat/completions": CHAT}
    got = await door.post(bodies.get(path, recording_form()), path, {} if path in bodies else FORM_HEADERS)
    assert (400, CODE, "model") == (got.status, got.error["code"], got.error["param"])
    assert message in str(got.error["message"])
    assert [] == engine.requests


def generating(engine: ScriptedEngine, **said: bool) -> Replica:
    replica = engine.replica("g1", profile="vllm")
    replica.statement = Statement(**said)
    return replica


@pytest.mark.parametrize(
    ("said", "settings", "status"),
    [
        ({"transcription": True}, {}, 200),
        ({}, {}, 200),
        ({"transcription": False}, {}, 400),
        ({"transcription": False}, {"transcription": True}, 200),
        ({"transcription": True}, {"transcription": False}, 400),
    ],
)
async def test_a_model_that_writes_and_hears(
    said: dict[str, bool], settings: dict[str, bool], status: int, door: Door, engine: ScriptedEngine
) -> None:
    """Is asked unless its engine or its settings deny it."""
    door.set_route(capabilities=CapabilitySettings(**settings))
    door.serve_with(generating(engine, **said))
    engine.otherwise = [whole(HEARD)]
    got = await send(door)
    assert status == got.status
    assert (status == 200) == bool(engine.requests)


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_an_engine_without_the_route(status: int, door: Door, engine: ScriptedEngine) -> None:
    """Which nobody knew of: it is the model's fault, and not the router's."""
    door.serve_with(generating(engine))
    engine.script(whole({"detail": "Not Found"}, status))
    got = await send(door)
    assert (400, CODE, "model") == (got.status, got.error["code"], got.error["param"])
    assert f"does not answer {TRANSCRIPTIONS}" in str(got.error["message"])


async def test_models_say_what_they_can(door: Door, engine: ScriptedEngine) -> None:
    """Of sound, whether it is all that they are for or not."""
    shown = []
    for replica in (
        engine.replica("a1", task="transcribe"), engine.replica("a2", task="speak"),
        generating(engine, audio=True, transcription=True, speech=False),
    ):  # fmt: skip
        door.state.take_over_replicas(APPLICATION, [replica])
        shown.append(orjson.loads((await door.ask("GET", "/v1/models/m")).body)["capabilities"])
    assert [["transcription"], ["speech"], ["chat", "completion", "audio", "transcription"]] == shown


# sound in chats


PART = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}


@pytest.mark.parametrize(("audio", "status"), [(False, 400), (True, 200), (None, 200)])
async def test_sound_in_a_chat(audio: bool | None, status: int, door: Door, engine: ScriptedEngine) -> None:  # noqa: FBT001
    """Goes to models that hear, as it is; one that does not is not asked, and its words alone are no sound."""
    replica = engine.replica("g1")
    replica.statement = Statement(audio=audio)
    door.serve_with(replica)
    engine.otherwise = [whole({"id": "c", "object": "chat.completion", "model": "m", "choices": []})]
    heard: dict[str, object] = {**CHAT, "messages": [{"role": "user", "content": [PART]}]}
    got = await door.post(heard)
    assert status == got.status
    if status == 400:
        assert (CODE, "messages") == (got.error["code"], got.error["param"])
        words = [{"role": "user", "content": [{"type": "text", "text": "input_audio"}]}]
        assert 200 == (await door.post({**CHAT, "messages": words})).status
    else:
        assert heard == engine.requests[0].document
