"""What chat templates are found to refuse: by rendering in the real llama.cpp, and by their words in a folder."""

from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from configs.engine import LlamaCppSettings, TensorRtLlmSettings
from configs.roles import RoleRefusal
from deployments.engines.contract import EngineAddress
from deployments.engines.questions import Questions
from deployments.engines.roles_reading import read_refusals
from deployments.engines.runtime import EngineRuntime
from router.fitting.chat_roles import adapt

# Templates of our own that are strict in the ways that models' own are.
ALTERNATING = """{%- if messages[0].role == 'system' %}{% set rest = messages[1:] %}[SYS]{{ messages[0].content }}[/SYS]
{%- else %}{% set rest = messages %}{% endif %}
{%- for message in rest %}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Roles must alternate user/assistant/user/assistant.') }}
{%- endif %}[{{ message.role }}]{{ message.content }}{% endfor %}"""
NO_SYSTEM = """{%- for message in messages %}
{%- if message.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif -%}
[{{ message.role }}]{{ message.content }}{% endfor %}"""
SYSTEM_FIRST = """{%- for message in messages %}
{%- if message.role == 'system' and not loop.first %}
{{- raise_exception('System message must be at the beginning.') }}{% endif -%}
{%- if message.role in ['system', 'user', 'assistant'] %}[{{ message.role }}]{{ message.content }}{% endif %}
{%- endfor %}"""
KNOWS_DEVELOPER = """{%- for message in messages %}
{%- if message.role in ['system', 'developer'] %}[developer]{{ message.content }}
{%- elif message.role in ['user', 'assistant'] %}[{{ message.role }}]{{ message.content }}{% endif %}{% endfor %}"""

# Each with what the real llama.cpp refuses with it, which mends some of it by itself, and what its words refuse.
TEMPLATES: dict[str, tuple[str, set[RoleRefusal], set[RoleRefusal]]] = {
    "alternating": (ALTERNATING, {"late_system", "neighbours"}, {"developer", "neighbours"}),
    "no system": (NO_SYSTEM, {"developer", "late_system"}, {"developer", "system"}),
    "system first": (SYSTEM_FIRST, {"late_system"}, {"developer", "late_system"}),
    "developer": (KNOWS_DEVELOPER, set(), set()),
}
# What Claude Code, Copilot and Roo Code send, in one.
MESSAGES = [
    {"role": "developer", "content": "one"},
    {"role": "user", "content": "two"},
    {"role": "user", "content": "three"},
    {"role": "assistant", "content": "four"},
    {"role": "system", "content": "five"},
    {"role": "user", "content": "six"},
]


@pytest.mark.parametrize("name", list(TEMPLATES))
async def test_llama_cpp_renders_what_its_template_takes(name: str, start_engine: Any, tmp_path: Path) -> None:
    """What it refuses is found at its start, and a chat that it would refuse is answered once it is adapted."""
    pytest.importorskip("xllamacpp")
    text, expected, _ = TEMPLATES[name]
    path = tmp_path / "template.jinja"
    path.write_text(text, encoding="utf-8")
    runtime = await start_engine(
        LlamaCppSettings(
            engine="llama_cpp",
            model="m",
            start_timeout_s=120,
            max_model_len=512,
            max_num_seqs=2,
            chat_template=str(path),
        )
    )
    assert expected == set(runtime.facts.refusals)
    status, prompt = await rendered(runtime, adapt(MESSAGES, runtime.facts.refusals))
    assert 200 == status, prompt
    assert [] == [word for word in ("one", "two", "three", "four", "five", "six") if word not in prompt]


async def rendered(runtime: EngineRuntime, messages: object) -> tuple[int, str]:
    address = runtime.address
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {address.secret}"}) as session,
        session.post(f"http://{address.host}:{address.port}/apply-template", json={"messages": messages}) as response,
    ):
        return response.status, await response.text()


@pytest.mark.parametrize("name", list(TEMPLATES))
async def test_a_folders_template_is_read(name: str, tmp_path: Path) -> None:
    """TensorRT-LLM's server renders for nobody, so the words of its template count."""
    text, _, expected = TEMPLATES[name]
    (tmp_path / "tokenizer_config.json").write_bytes(orjson.dumps({"chat_template": text}))
    settings = TensorRtLlmSettings(engine="tensorrt_llm", model="m", model_source=str(tmp_path))
    nobody = Questions(None, "m", EngineAddress("127.0.0.1", 9, "s"), None)  # type: ignore[arg-type]
    assert expected == set(await read_refusals(settings, "front", nobody))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"chat_template": 5}', b'{"chat_template": [{"name": "x"}]}'])
async def test_a_folder_without_a_template_says_nothing(content: bytes, tmp_path: Path) -> None:
    """Nothing is changed then."""
    (tmp_path / "tokenizer_config.json").write_bytes(content)
    settings = TensorRtLlmSettings(engine="tensorrt_llm", model="m", model_source=str(tmp_path))
    nobody = Questions(None, "m", EngineAddress("127.0.0.1", 9, "s"), None)  # type: ignore[arg-type]
    assert () == await read_refusals(settings, "front", nobody)
