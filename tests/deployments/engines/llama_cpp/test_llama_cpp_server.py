"""The decisions of `deployments/engines/llama_cpp/llama_cpp_server.py`, without llama.cpp."""

import struct
from pathlib import Path

import pytest

from deployments.engines.llama_cpp.llama_cpp_server import (
    BadWeightsError,
    Launch,
    checked_weights,
    find_weights,
    read_header,
)


def gguf(*pairs: tuple[str, int, bytes]) -> bytes:
    """A GGUF file's header with these keys, value types and values."""
    entries = b"".join(
        struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value for key, kind, value in pairs
    )
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + entries


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


CONTEXT = ("llama.context_length", 4, struct.pack("<I", 8192))


@pytest.fixture
def weights_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose import fails, as one that misses its own dependencies does."""
    package = tmp_path / "weights_of_this_test"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('must not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return package


def launch(**changes: object) -> Launch:
    settings: Launch = {
        "model": "m", "model_source": "", "task": "generate", "max_model_len": 2048, "max_num_seqs": 1,
        "num_threads": None, "num_gpu_layers": 0, "tensor_split": [], "max_num_batched_tokens": None,
        "max_num_micro_batch_tokens": None, "flash_attention": None, "kv_cache_type_k": "f16",
        "kv_cache_type_v": "f16", "chat_template": None, "pooling": None, "draft_model_source": None,
        "num_speculative_tokens": 3, "host": "127.0.0.1", "port": 1, "secret": "",
    }  # fmt: skip
    return settings | changes  # type: ignore[return-value]


def test_a_package_is_found_without_importing_it(weights_package: Path) -> None:
    """The one GGUF file of a package is found although the package cannot be imported."""
    (weights_package / "small.gguf").touch()

    assert weights_package / "small.gguf" == find_weights("package:weights_of_this_test")


@pytest.mark.parametrize(("names", "told"), [([], "none"), (["b.gguf", "a.gguf"], "a.gguf, b.gguf")])
def test_a_package_must_hold_one_file(weights_package: Path, names: list[str], told: str) -> None:
    """No file and several files are both refused, with what is there."""
    for name in names:
        (weights_package / name).touch()

    with pytest.raises(BadWeightsError, match=f"exactly one GGUF file, but holds: {told}$"):
        find_weights("package:weights_of_this_test")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("package:not_installed_here", "not_installed_here is not installed"),
        ("package:a.b", "top-level package"),
        ("/nowhere/model.gguf", "no weights at /nowhere/model.gguf"),
    ],
)
def test_missing_weights_are_named(source: str, words: str) -> None:
    """A source that leads nowhere is refused with its name."""
    with pytest.raises(BadWeightsError, match=words):
        find_weights(source)


def test_reads_the_trained_context_past_every_kind_of_value(tmp_path: Path) -> None:
    """Strings, numbers, arrays of numbers and arrays of strings before the key are passed over."""
    path = tmp_path / "model.gguf"
    strings = struct.pack("<IQ", 8, 2) + text("a") + text("bc")
    numbers = struct.pack("<IQ", 5, 3) + bytes(12)
    path.write_bytes(
        gguf(("name", 8, text("m")), ("tokens", 9, strings), ("types", 9, numbers), ("f", 6, bytes(4)), CONTEXT)
    )

    assert 8192 == read_header(path).context_length


def test_a_file_that_does_not_say_has_no_trained_context(tmp_path: Path) -> None:
    """A header without the key is no error."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(("name", 8, text("m"))))

    assert None is read_header(path).context_length


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"garbage", "not a GGUF file"),
        (gguf(CONTEXT)[:40], "ends within its header"),
        (gguf(("a", 77, b"")), "type 77"),
    ],
)
def test_bad_weights_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is not a whole GGUF file is refused with its path and what is wrong."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)

    with pytest.raises(BadWeightsError, match=f"{path}: .*{words}"):
        read_header(path)


def test_a_context_beyond_the_trained_one_is_refused(tmp_path: Path) -> None:
    """llama.cpp would give each slot less than asked; we say so instead."""
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(CONTEXT))

    with pytest.raises(BadWeightsError, match=r"max_model_len is 9000, but .* a context of 8192 tokens"):
        checked_weights(launch(model_source=str(path), max_model_len=9000))
