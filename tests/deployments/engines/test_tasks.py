"""What the task of a model changes before any engine runs: its first request, its options, and what is refused."""

import io
import wave
from collections.abc import Awaitable, Callable

import pytest
from pydantic import ValidationError

from configs.engine import ModelArgs, SimulatedSettings
from deployments.engines import create_engine
from deployments.engines.contract import Engine, EngineAddress, FirstRequest
from deployments.engines.errors import EngineStartError
from deployments.engines.runtime import EngineRuntime
from deployments.engines.simulated.engine import SimulatedEngine
from router.wire_apis.audio.form import read_form

ADDRESS = EngineAddress("127.0.0.1", 4000, "s3cret")


def engine(**settings: object) -> Engine:
    return create_engine(ModelArgs.model_validate({"model": "m", **settings}).root)


@pytest.mark.parametrize("name", ["llama_cpp", "vllm"])
@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("generate", FirstRequest("/v1/completions", {"model": "m", "prompt": "Hi", "max_tokens": 1})),
        ("embed", FirstRequest("/v1/embeddings", {"model": "m", "input": "Hi"})),
        ("rerank", FirstRequest("/v1/rerank", {"model": "m", "query": "Hi", "documents": ["Hi"]})),
    ],
)
def test_the_first_request_is_of_the_models_task(name: str, task: str, expected: FirstRequest) -> None:
    """A model is asked for what it is for."""
    assert expected == engine(engine=name, task=task, model_source="org/weights").first_request


def test_the_first_request_of_a_model_that_transcribes() -> None:
    """Is a form with a second of silence, of as many bytes as that has."""
    request = engine(engine="vllm", task="transcribe", model_source="org/whisper").first_request
    assert request is not None
    data, content_type = request.content
    form = read_form(content_type.encode(), data)
    with wave.open(io.BytesIO(request.recording)) as recording:
        duration_s = recording.getnframes() / recording.getframerate()
    assert ("/v1/audio/transcriptions", {"model": "m"}, 1.0) == (request.path, form.fields, duration_s)
    assert request.recording in data


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("generate", []),
        ("transcribe", []),
        ("embed", ["--runner", "pooling", "--convert", "embed"]),
        ("rerank", ["--runner", "pooling", "--convert", "classify"]),
    ],
)
def test_vllm_is_told_of_the_task(task: str, expected: list[str]) -> None:
    """By the options that vLLM has from 0.26 to 0.33; a model that generates needs none."""
    command = engine(engine="vllm", task=task, model_source="org/weights").command(ADDRESS)
    assert command is not None
    words = list(command.argv)
    start = words.index("--runner") if "--runner" in words else len(words)
    assert expected == words[start : start + 4]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"engine": "simulated", "task": "embed"},
            "is embed, which this engine does not do; it does: generate, transcribe, speak",
        ),
        ({"engine": "llama_cpp", "task": "speak"}, "it does: generate, embed, rerank"),
        ({"engine": "vllm", "task": "speak", "model_source": "m"}, "it does: generate, embed, rerank, transcribe"),
        ({"engine": "tensorrt_llm", "task": "rerank", "model_source": "m"}, "it does: generate"),
        ({"engine": "ollama", "task": "rerank", "model_source": "m"}, "it does: generate, embed"),
    ],
)
def test_a_task_that_the_engine_does_not_do_is_refused(settings: dict[str, object], words: str) -> None:
    """With what it does."""
    with pytest.raises(ValidationError, match=words):
        ModelArgs.model_validate({"model": "m", **settings})


class _Misjudged(SimulatedEngine):
    """An engine whose model is not for what its settings say: its first request has no route."""

    @property
    def first_request(self) -> FirstRequest:
        return FirstRequest("/v1/rerank", {"model": "sim", "query": "Hi", "documents": ["Hi"]})


async def test_an_engine_without_the_tasks_route_fails_its_start(
    start_engine: Callable[..., Awaitable[EngineRuntime]], simulated_settings: SimulatedSettings, phases: list[str]
) -> None:
    """Once, and with the setting: it is not taken for a stranger on the engine's port, which would be tried again."""
    with pytest.raises(EngineStartError, match=r"sim does not answer /v1/rerank: is task: generate right for it\?"):
        await start_engine(simulated_settings, engine=_Misjudged(simulated_settings))
    assert 1 == phases.count("starting")
