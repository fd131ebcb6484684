"""Recordings through the router to real vLLM: a Whisper that was never trained, and a model that hears nothing."""

import io
import math
import struct
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from house import House, open_house
from house_files import Json, free_port, model, router, serve_file
from vllm_on_cpu import INTERPRETER, SETTINGS, WHISPER_WRITER

SAMPLE_RATE = 16_000


def recording() -> bytes:
    """Two seconds of a tone."""
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        turns = (math.sin(440 * 2 * math.pi * place / SAMPLE_RATE) for place in range(2 * SAMPLE_RATE))
        file.writeframes(b"".join(struct.pack("<h", int(10_000 * turn)) for turn in turns))
    return written.getvalue()


RECORDING = ("tone.wav", recording())


def house_file(port: int, weights: Path) -> Json:
    settings = {**SETTINGS, "task": "transcribe", "model_source": str(weights), "max_model_len": 64}
    settings["max_num_batched_tokens"] = 2048  # half a minute of sound, which Whisper always reads, is 1500 tokens
    return serve_file(router(port, {"whisper": ["whisper-1"]}), [model("whisper", **settings)])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    weights = tmp_path_factory.mktemp("weights") / "whisper"
    subprocess.run([INTERPRETER, WHISPER_WRITER, weights], check=True)
    with open_house(house_file(free_port(), weights), start_deadline_s=350) as house:
        yield house


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    """The SDK as a user sets it up, except that it never tries again."""
    with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as sdk:
        yield sdk


def hear(client: openai.OpenAI, **fields: Any) -> Any:
    return client.audio.transcriptions.create(
        **{"model": "whisper-1", "file": RECORDING, "language": "en", "temperature": 0, **fields}
    )


def test_a_transcription(client: openai.OpenAI) -> None:
    """Of letters, the same ones every time; the language is found where none is said."""
    heard = hear(client)
    assert heard.text.strip()
    assert heard.text == hear(client).text
    assert ("duration", 2) == (heard.usage.type, heard.usage.seconds)
    assert hear(client, language=openai.omit).text


def test_a_stream_says_what_the_whole_says(client: openai.OpenAI) -> None:
    """In vLLM's own events, which the library hands on."""
    events = list(hear(client, stream=True))
    text = "".join(event.choices[0]["delta"].get("content") or "" for event in events if event.choices)
    assert hear(client).text == text
    assert len(events) > 2


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the library's word on this method
def test_a_translation(client: openai.OpenAI) -> None:
    """Is another route of vLLM's, too."""
    heard = client.audio.translations.create(
        model="whisper", file=RECORDING, temperature=0, extra_body={"language": "de"}
    )
    assert heard.text.strip()


def test_what_vllm_refuses(client: openai.OpenAI) -> None:
    """Is told in its words: a file that is no sound, a language that there is not."""
    for fields in ({"file": ("a.wav", b"no sound at all")}, {"language": "xx"}):
        with pytest.raises(openai.BadRequestError) as caught:
            hear(client, **fields)
        assert "engine" == caught.value.response.headers["x-enginehouse-error-source"]


def test_what_it_is_for(client: openai.OpenAI) -> None:
    """A Whisper chats with nobody, and says so."""
    card = client.models.retrieve("whisper")
    assert ("transcribe", ["transcription"]) == (card.model_extra["task"], card.model_extra["capabilities"])  # type: ignore[index]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="whisper", messages=[{"role": "user", "content": "Hi"}])
    assert "model_does_not_support" == caught.value.code
