"""What OpenAI's own library makes of recordings and speech, with simulated engines behind the router."""

import base64
import io
import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import openai
import orjson
import pytest
from door import Door, OpenDoor
from forms import wav
from simulated_engines import SimulatedEngine

from configs.router import ModelRoute, RouterUserConfig
from router.models.table import ModelTable

TASKS = {"whisper": "transcribe", "voice": "speak", "chat": "generate"}
RECORDING = ("hello.wav", wav(1.5))
SAID = f"A recording of {len(RECORDING[1])} bytes and 1.50 s, with the digest "


@pytest.fixture
async def served(open_door: OpenDoor) -> AsyncIterator[Door]:
    """A router with a model that hears, one that speaks and one that writes."""
    door = await open_door()
    routes = {name: ModelRoute(application=name, aliases=(f"{name}-1",)) for name in TASKS}
    door.state.take_over_table(ModelTable(RouterUserConfig(models=routes, requests=door.state.table.requests)))
    async with AsyncExitStack() as stack:
        for name, task in TASKS.items():
            engine = await SimulatedEngine.start(task=task)  # type: ignore[arg-type]
            stack.push_async_callback(engine.stop)
            door.state.take_over_replicas(name, [engine.replica(name)])
        yield door


@pytest.fixture
async def client(served: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK, which never tries again."""
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{served.port}/v1", api_key="any", max_retries=0, timeout=60
    ) as opened:
        yield opened


async def hear(client: openai.AsyncOpenAI, **fields: Any) -> Any:
    return await client.audio.transcriptions.create(**{"model": "whisper", "file": RECORDING, **fields})


@pytest.mark.parametrize("name", ["whisper", "whisper-1"])
async def test_a_transcription(name: str, client: openai.AsyncOpenAI) -> None:
    """Under each name of the model, with what it cost."""
    heard = await hear(client, model=name, language="en", prompt="Names: Anna.", temperature=0)
    assert heard.text.startswith(SAID)
    assert ("duration", 2) == (heard.usage.type, heard.usage.seconds)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the library's word on this method
async def test_a_translation(client: openai.AsyncOpenAI) -> None:
    """Is another route of the same model."""
    heard = await client.audio.translations.create(model="whisper", file=RECORDING)
    assert heard.text.startswith("Translated: a recording of")


async def test_segments(client: openai.AsyncOpenAI) -> None:
    """With their times."""
    heard = await hear(client, response_format="verbose_json", timestamp_granularities=["segment", "word"])
    [segment] = heard.segments
    assert (1.5, 0.0, 1.5) == (heard.duration, segment.start, segment.end)


@pytest.mark.parametrize(
    ("response_format", "begins"),
    [("text", SAID), ("srt", "1\n00:00:00,000 --> 00:00:01,500\n"), ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:01.500")],
)
async def test_texts(response_format: str, begins: str, client: openai.AsyncOpenAI) -> None:
    """Are given as they are."""
    assert str(await hear(client, response_format=response_format)).startswith(begins)


async def test_a_stream_of_events(client: openai.AsyncOpenAI) -> None:
    """Says what the whole text says."""
    events = [one async for one in await hear(client, stream=True)]
    deltas = [one.delta for one in events if one.type == "transcript.text.delta"]
    assert len(deltas) > 5
    assert "transcript.text.done" == events[-1].type
    assert (await hear(client)).text == "".join(deltas) == events[-1].text


def samples_of(sound: bytes) -> int:
    with wave.open(io.BytesIO(sound)) as read:
        return read.getnframes()


async def test_speech(client: openai.AsyncOpenAI) -> None:
    """A file whose length goes by the text and the speed; the same one every time."""
    once, again, slow = [
        (await client.audio.speech.create(model="voice-1", voice="alloy", input="Hello.", speed=speed)).content
        for speed in (1, 1, 0.5)
    ]
    assert once == again
    assert (6 * 400, 6 * 800) == (samples_of(once), samples_of(slow))


async def test_speech_in_parts(client: openai.AsyncOpenAI) -> None:
    """Read as it comes, and bare where that is asked for."""
    fields = {"model": "voice", "voice": "alloy", "input": "Hello there."}
    async with client.audio.speech.with_streaming_response.create(**fields) as response:
        parts = [part async for part in response.iter_bytes()]
        kind = response.headers["content-type"]
    bare = (await client.audio.speech.create(**fields, response_format="pcm")).content
    assert "audio/wav" == kind
    assert b"".join(parts)[44:] == bare


async def test_speech_in_events(client: openai.AsyncOpenAI) -> None:
    """The same sound, and then its usage."""
    fields = {"model": "voice", "voice": "alloy", "input": "Hello there."}
    async with client.audio.speech.with_streaming_response.create(**fields, stream_format="sse") as response:
        lines = [line async for line in response.iter_lines() if line]
    whole = (await client.audio.speech.create(**fields)).content
    *deltas, done = [orjson.loads(line.removeprefix("data: ")) for line in lines]
    assert {"speech.audio.delta"} == {one["type"] for one in deltas}
    assert whole == b"".join(base64.b64decode(one["audio"]) for one in deltas)
    assert ("speech.audio.done", 6) == (done["type"], done["usage"]["total_tokens"])


async def test_a_model_without_sound(client: openai.AsyncOpenAI) -> None:
    """Is refused with the reason, whichever route it is asked at."""
    refused = []
    for asked in (
        hear(client, model="chat"),
        client.audio.speech.create(model="whisper", voice="alloy", input="Hi"),
        client.chat.completions.create(model="voice", messages=[{"role": "user", "content": "Hi"}]),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            await asked
        refused.append((caught.value.code, caught.value.param))
    assert [("model_does_not_support", "model")] * 3 == refused


async def test_what_the_engine_does_not_make(client: openai.AsyncOpenAI) -> None:
    """Is its own to say."""
    with pytest.raises(openai.BadRequestError, match="wav and pcm") as caught:
        await client.audio.speech.create(model="voice", voice="alloy", input="Hi", response_format="mp3")
    assert "response_format" == caught.value.param


@pytest.mark.parametrize(
    ("wish", "error", "code"),
    [
        ({"status": 400}, openai.BadRequestError, "invalid_request"),
        ({"status": 503}, openai.InternalServerError, "engine_overloaded"),
        ({"error_after_tokens": 1}, openai.InternalServerError, "engine_failed"),
    ],
)
async def test_failures_on_command(
    wish: dict[str, int], error: type[openai.APIStatusError], code: str, client: openai.AsyncOpenAI
) -> None:
    """Are to be had of recordings, too, for load tests."""
    with pytest.raises(error) as caught:
        await hear(client, extra_body={"simulated": str(wish).replace("'", '"')})
    assert code == caught.value.code
