"""What engines say that their models can do: llama.cpp asked for real, the others by settings, files and answers."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from configs.engine import LlamaCppSettings, TensorRtLlmSettings, VllmSettings
from deployments.engines import create_engine
from deployments.engines.model_files import describe_folder
from deployments.engines.ollama.models import statement_of as ollamas_statement
from deployments.engines.openai_endpoint import statement_of as endpoints_statement
from deployments.engines.runtime import EngineRuntime
from deployments.engines.statements import EngineAnswer
from router.replicas.statement import NOTHING_SAID, Statement

StartEngine = Callable[..., Awaitable[EngineRuntime]]

TOOL_TEMPLATE = """
{%- if tools %}
{{- "<|im_start|>system\\nYou may call functions:\\n" }}
{%- for tool in tools %}{{- tool | tojson }}{{- "\\n" }}{%- endfor %}
{{- "<|im_end|>\\n" }}
{%- endif %}
{%- for message in messages %}
{{- "<|im_start|>" + ("user" if message.role == "tool" else message.role) + "\\n" }}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- for call in message.tool_calls or [] %}
{{- "\\n<tool_call>\\n{\\"name\\": \\"" + call.function.name + "\\", \\"arguments\\": " }}
{{- call.function.arguments | tojson }}{{- "}\\n</tool_call>" }}
{%- endfor %}
{{- "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{- "<|im_start|>assistant\\n<think>" }}{%- endif %}
"""


def llama_cpp(**changes: Any) -> LlamaCppSettings:
    return LlamaCppSettings(
        engine="llama_cpp", model="m", start_timeout_s=120, max_model_len=256, max_num_seqs=1, **changes
    )


async def test_llama_cpp(start_engine: StartEngine) -> None:
    """SmolLM2's template shows no tools to the model, so llama.cpp would pass over them."""
    pytest.importorskip("xllamacpp")
    runtime = await start_engine(llama_cpp())
    assert Statement(
        chat=True, tools=False, vision=False, reasoning=False, structured_output=True, audio=False,
        transcription=False, speech=False, architecture="llama", num_parameters=134_515_008, size_bytes=96_576_768,
        quantization="Q4_1", file_format="gguf",
    ) == runtime.statement  # fmt: skip


async def test_llama_cpp_with_a_template_that_has_tools(start_engine: StartEngine, tmp_path: Path) -> None:
    """The same weights call tools, and think, where their template makes them."""
    pytest.importorskip("xllamacpp")
    template = tmp_path / "tools.jinja"
    template.write_text(TOOL_TEMPLATE)
    runtime = await start_engine(llama_cpp(chat_template=str(template)))
    assert (True, True) == (runtime.statement.tools, runtime.statement.reasoning)


def test_weights_that_are_elsewhere() -> None:
    """As for an interpreter of its own that has the package: what the file says is then not known."""
    engine = create_engine(llama_cpp(model_source="package:no_such_weights"))
    answers = dict.fromkeys(engine.questions, EngineAnswer(0, {}))
    assert Statement(structured_output=True, speech=False, file_format="gguf") == engine.statement(answers)


def folder_of(path: Path, config: dict[str, object], template: str = "") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template} if template else {}))
    (path / "model.safetensors").write_bytes(bytes(10))
    return path


QWEN = {"model_type": "qwen2_5_vl", "vision_config": {"depth": 32}, "torch_dtype": "bfloat16"}


def vllm(source: str, **changes: Any) -> VllmSettings:
    return VllmSettings(engine="vllm", model="m", model_source=source, **changes)


def test_vllm(tmp_path: Path) -> None:
    """Its parsers decide what it reads out of answers; the model's files have the rest."""
    source = str(folder_of(tmp_path / "qwen", QWEN, "{{ messages }}"))
    plain = create_engine(vllm(source)).statement({})
    parsing = create_engine(vllm(source, tool_call_parser="hermes", reasoning_parser="qwen3")).statement({})
    files = {
        "chat": True, "vision": True, "forced_tools": True, "structured_output": True, "architecture": "qwen2_5_vl",
        "size_bytes": 10, "quantization": "bfloat16", "file_format": "safetensors", "audio": False, "speech": False,
    }  # fmt: skip
    assert Statement.of({**files, "tools": False, "reasoning": False}) == plain
    assert Statement.of({**files, "tools": True, "reasoning": True}) == parsing


@pytest.mark.parametrize(
    ("status", "expected"), [(0, None), (404, False), (405, False), (501, False), (400, True), (422, True)]
)
def test_vllms_routes_for_recordings(status: int, expected: bool | None) -> None:  # noqa: FBT001
    """Are there where its model takes any: an empty body is refused in another way than an unknown path."""
    engine = create_engine(vllm("org/weights"))
    assert {"/v1/audio/transcriptions": {}} == engine.questions
    answers = {"/v1/audio/transcriptions": EngineAnswer(status, {})}
    assert expected is engine.statement(answers).transcription


def test_a_folder_of_a_model_that_hears(tmp_path: Path) -> None:
    """Has the part of it that does in its configuration."""
    folder = folder_of(tmp_path / "ultravox", {"model_type": "ultravox", "audio_config": {"d_model": 8}})
    assert (True, False) == (
        describe_folder(str(folder), None, {}).audio,
        describe_folder(str(folder), None, {}).vision,
    )


def test_tensorrt_llm(tmp_path: Path) -> None:
    """The same; the files of a built engine may be nowhere, and then say nothing."""
    settings = TensorRtLlmSettings(
        engine="tensorrt_llm", model="m", model_source=str(tmp_path / "built"), tool_call_parser="qwen3"
    )
    said = create_engine(settings).statement({})
    assert (True, True, False, None) == (said.tools, said.forced_tools, said.reasoning, said.vision)


def test_a_repository_that_was_downloaded(tmp_path: Path) -> None:
    """Is found where Hugging Face's library puts it, at the commit that its branch had."""
    repository = tmp_path / "hub" / "models--org--name"
    folder_of(repository / "snapshots" / "abc", {"model_type": "llama", "quantization_config": {"quant_method": "awq"}})
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    said = describe_folder("org/name", None, {"HF_HOME": str(tmp_path)})
    assert ("llama", "awq", False, False) == (said.architecture, said.quantization, said.chat, said.vision)
    assert NOTHING_SAID == describe_folder("org/name", "other", {"HF_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("files", "has_template"),
    [
        ({"chat_template.jinja": "x"}, True),
        ({"chat_template.json": '{"chat_template": "x"}'}, True),
        ({"tokenizer_config.json": '{"chat_template": [{"name": "default", "template": "x"}]}'}, True),
        ({"tokenizer_config.json": "{"}, False),
        ({}, False),
    ],
)
def test_chat_templates(files: dict[str, str], has_template: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Are in one of three places, by the age of the model."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert has_template == describe_folder(str(tmp_path), None, {}).chat


def test_ollama() -> None:
    """In its own words; before version 0.6.4 it told no capabilities, and only what it never can is said."""
    shown = {
        "capabilities": ["completion", "tools", "insert", "thinking"],
        "details": {"format": "gguf", "quantization_level": "Q4_K_M"},
        "model_info": {"general.architecture": "qwen2", "general.parameter_count": 7},
    }
    assert Statement(
        chat=True, tools=True, forced_tools=False, vision=False, fim=True, reasoning=True, structured_output=True,
        audio=False, transcription=False, speech=False, architecture="qwen2", num_parameters=7,
        quantization="Q4_K_M", file_format="gguf",
    ) == ollamas_statement(shown)  # fmt: skip
    never = Statement(forced_tools=False, structured_output=True, audio=False, transcription=False, speech=False)
    assert never == ollamas_statement({})


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (
            {"capabilities": ["chat", "completion", "tools"]},
            Statement(chat=True, tools=True),
        ),
        ({"capabilities": ["completion"]}, Statement(chat=False)),
        ({"capabilities": ["vision"]}, None),
        ({"capabilities": {"vision": True}}, None),
        ({}, None),
    ],
)
def test_an_endpoint(card: dict[str, object], expected: Statement | None) -> None:
    """
    Says it where it is another house, whose list leaves out what nobody knows as well as what is denied; a list of
    capabilities in other words is nobody's statement.
    """
    assert expected == endpoints_statement(card)
