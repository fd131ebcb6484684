"""
The process of `enginehouse weights`: GGUF weights as a Hugging Face folder. Run by path, in an interpreter that has the
package gguf (which brings numpy); needs nothing of ours and neither torch nor transformers.

One tensor is in memory at a time, so a model may be larger than the memory.
"""

import argparse
import contextlib
import importlib
import json
import math
import os
import shutil
import signal
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

BYTES_PER_VALUE = {"bfloat16": 2, "float32": 4}
SAFETENSORS_NAMES = {"bfloat16": "BF16", "float32": "F32"}

NUM_PROGRESS_STEPS = 10
"""Lines of progress in a log. A terminal sees every tensor."""

TOKENIZER_BYTES = 32 * 1024**2
"""Room for everything beside the tensors. Vocabularies of 150,000 tokens take 12 MB."""

_GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _isolated(pattern: str) -> dict[str, object]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


PRE_TOKENIZERS: dict[str, list[dict[str, object]]] = {
    "smollm": [_isolated(r"\p{N}"), _GPT2],
    "gpt-2": [_GPT2],
    "llama-bpe": [_isolated(_LLAMA3), {**_GPT2, "use_regex": False}],
}
"""
How text is cut before pairs are merged, by GGUF's `tokenizer.ggml.pre`. Another name is refused: guessed cuts give
tokens that the model has never seen, and answers that are only a little wrong.
"""

CONTROL, USER_DEFINED = 3, 4
"""GGUF's kinds of tokens that are matched in the text as they are."""


class CannotConvertError(Exception):
    """The message says what is wrong with the weights, the folder or this interpreter."""


class Layout(NamedTuple):
    """Where one tensor of the GGUF file goes."""

    name: str
    shape: tuple[int, ...]
    num_heads: int | None
    """Not None where llama.cpp keeps the rows of each head in an order of its own."""


class Metadata:
    """Values of a GGUF file by key."""

    def __init__(self, reader: Any) -> None:  # noqa: ANN401  gguf is not installed where types are checked
        self._fields = reader.fields

    def find(self, key: str) -> Any:  # noqa: ANN401  GGUF's own types
        field = self._fields.get(key)
        return None if field is None else field.contents()

    def get(self, key: str) -> Any:  # noqa: ANN401
        value = self.find(key)
        if value is None:
            raise CannotConvertError(f"it has no {key}")
        return value


def check_supported(metadata: Metadata, tensor_names: set[str]) -> None:
    """
    Raises:
        CannotConvertError: the folder would not be the same model.
    """
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise CannotConvertError(f"its architecture is {architecture}; only llama (Llama, SmolLM2) can be converted")
    if metadata.find("llama.expert_count"):
        raise CannotConvertError("it is a mixture of experts, which cannot be converted")
    if "rope_freqs.weight" in tensor_names or metadata.find("llama.rope.scaling.type") not in (None, "none"):
        raise CannotConvertError("its positions are scaled (Llama 3.1 and later): use the original checkpoint")
    model = metadata.get("tokenizer.ggml.model")
    if model != "gpt2":
        raise CannotConvertError(f"its tokenizer is of the kind {model}; only gpt2 (byte-level BPE) can be converted")
    cut = metadata.find("tokenizer.ggml.pre")
    if cut not in PRE_TOKENIZERS:
        raise CannotConvertError(f"its pre-tokenizer is {cut}; known are: {', '.join(sorted(PRE_TOKENIZERS))}")


def model_config(metadata: Metadata, *, is_tied: bool, dtype: str) -> dict[str, object]:
    """`config.json`."""
    num_heads = metadata.get("llama.attention.head_count")
    hidden_size = metadata.get("llama.embedding_length")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden_size,
        "intermediate_size": metadata.get("llama.feed_forward_length"),
        "num_hidden_layers": metadata.get("llama.block_count"),
        "num_attention_heads": num_heads,
        "num_key_value_heads": metadata.find("llama.attention.head_count_kv") or num_heads,
        "head_dim": metadata.find("llama.attention.key_length") or hidden_size // num_heads,
        "max_position_embeddings": metadata.get("llama.context_length"),
        "rms_norm_eps": round(metadata.get("llama.attention.layer_norm_rms_epsilon"), 10),  # stored as float32
        "rope_theta": metadata.find("llama.rope.freq_base") or 10000.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": is_tied,
        "vocab_size": len(metadata.get("tokenizer.ggml.tokens")),
        "torch_dtype": dtype,
        **_token_ids(metadata),
    }


def _token_ids(metadata: Metadata) -> dict[str, int]:
    keys = {"bos_token_id": "bos_token_id", "eos_token_id": "eos_token_id", "pad_token_id": "padding_token_id"}
    found = {name: metadata.find(f"tokenizer.ggml.{key}") for name, key in keys.items()}
    return {name: value for name, value in found.items() if value is not None}


def tokenizer(metadata: Metadata) -> dict[str, object]:
    """`tokenizer.json`."""
    tokens: list[str] = metadata.get("tokenizer.ggml.tokens")
    kinds: list[int] = metadata.get("tokenizer.ggml.token_type")
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, "content": tokens[number], **plain, "special": kind == CONTROL}
            for number, kind in enumerate(kinds)
            if kind in (CONTROL, USER_DEFINED)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": PRE_TOKENIZERS[metadata.get("tokenizer.ggml.pre")]},
        "post_processor": _begin_of_text(metadata, tokens),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": metadata.get("tokenizer.ggml.pre") == "llama-bpe",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ", 1) for merge in metadata.get("tokenizer.ggml.merges")],
        },
    }


def _begin_of_text(metadata: Metadata, tokens: list[str]) -> dict[str, object] | None:
    number = metadata.find("tokenizer.ggml.bos_token_id")
    if not metadata.find("tokenizer.ggml.add_bos_token") or number is None:
        return None
    begin, text = {"SpecialToken": {"id": tokens[number], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [begin, text],
        "pair": [begin, text, second],
        "special_tokens": {tokens[number]: {"id": tokens[number], "ids": [number], "tokens": [tokens[number]]}},
    }


def tokenizer_config(metadata: Metadata) -> dict[str, object]:
    """`tokenizer_config.json`, with the chat template where the weights have one."""
    tokens = metadata.get("tokenizer.ggml.tokens")
    named = {name.removesuffix("_id"): tokens[number] for name, number in _token_ids(metadata).items()}
    template = metadata.find("tokenizer.chat_template")
    return {
        # The class that takes tokenizer.json as it is; those of single models put their own pre-tokenizer into it.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": metadata.get("llama.context_length"),
        **named,
        **({} if template is None else {"chat_template": template}),
    }


_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_INNER = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def layout(name: str, shape: tuple[int, ...], num_heads: int, num_kv_heads: int) -> Layout:
    """
    Where a tensor goes; `shape` has the rows first.

    Raises:
        CannotConvertError: no such tensor is known, so the folder would lack a part of the model.
    """
    match name.split("."):
        case [outer, "weight"] if outer in _OUTER:
            return Layout(f"{_OUTER[outer]}.weight", shape, None)
        case ["blk", block, inner, "weight"] if inner in _INNER:
            heads = {"attn_q": num_heads, "attn_k": num_kv_heads}.get(inner)
            return Layout(f"model.layers.{block}.{_INNER[inner]}.weight", shape, heads)
    raise CannotConvertError(f"it has a tensor {name}, which the architecture llama does not know")


def _values(tensor: Any, place: Layout, dtype: str) -> bytes:  # noqa: ANN401
    """The tensor's values as they stand in a safetensors file."""
    numpy, quants = importlib.import_module("numpy"), importlib.import_module("gguf.quants")
    values = quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32).reshape(place.shape)
    if place.num_heads is not None:  # llama.cpp has each head's halves interleaved
        rows, columns = place.shape
        interleaved = values.reshape(place.num_heads, rows // place.num_heads // 2, 2, columns)
        values = interleaved.swapaxes(1, 2).reshape(rows, columns)
    if dtype == "bfloat16":  # the upper half of a float32, rounded to the nearest, ties to even
        bits = numpy.ascontiguousarray(values).view(numpy.uint32).astype(numpy.uint64)
        values = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)
    return bytes(values.tobytes())


def write_tensors(
    path: Path, tensors: list[Any], places: list[Layout], dtype: str, on_progress: Callable[[int], None]
) -> None:
    """
    One safetensors file, tensor by tensor.

    Source:
        https://github.com/huggingface/safetensors#format
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for place in places:
        begin, end = end, end + math.prod(place.shape) * BYTES_PER_VALUE[dtype]
        header[place.name] = {
            "dtype": SAFETENSORS_NAMES[dtype],
            "shape": place.shape,
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for number, (tensor, place) in enumerate(zip(tensors, places, strict=True), start=1):
            file.write(_values(tensor, place, dtype))
            on_progress(number)
        file.flush()
        os.fsync(file.fileno())


def check_room(folder: Path, num_values: int, dtype: str) -> None:
    """
    Raises:
        CannotConvertError: the disk has too little room.
    """
    needed, free = num_values * BYTES_PER_VALUE[dtype] + TOKENIZER_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise CannotConvertError(
            f"the weights as {dtype} need {needed / 1e9:.2f} GB at {folder}, where {free / 1e9:.2f} GB are free"
        )


@contextlib.contextmanager
def made_whole(out: Path) -> Iterator[Path]:
    """
    A folder that becomes `out` when the block ends well, and is removed otherwise.

    Raises:
        CannotConvertError: `out` has something in it, or cannot be made.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CannotConvertError(f"{out} exists and is not an empty folder: name another, or remove it")
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    except OSError as error:
        raise CannotConvertError(f"cannot make {out}: {error}") from error
    try:
        yield partial
        partial.chmod(0o777 & ~_umask())  # mkdtemp's folders are private
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def convert(source: Path, out: Path, dtype: str) -> None:
    """
    Raises:
        CannotConvertError: and nothing is left at `out`.
    """
    gguf = importlib.import_module("gguf")
    try:
        reader = gguf.GGUFReader(source)
    except (OSError, ValueError) as error:
        raise CannotConvertError(f"it cannot be read as GGUF: {error}") from error
    metadata = Metadata(reader)
    check_supported(metadata, {tensor.name for tensor in reader.tensors})
    config = model_config(metadata, is_tied=all(t.name != "output.weight" for t in reader.tensors), dtype=dtype)
    num_heads, num_kv_heads = metadata.get("llama.attention.head_count"), config["num_key_value_heads"]
    assert isinstance(num_kv_heads, int)  # noqa: S101  narrows the type
    places = [
        layout(tensor.name, tuple(int(size) for size in reversed(tensor.shape)), num_heads, num_kv_heads)
        for tensor in reader.tensors
    ]
    with made_whole(out) as folder:
        check_room(folder, sum(math.prod(place.shape) for place in places), dtype)
        progress = progress_printer(len(places))
        try:
            write_tensors(folder / "model.safetensors", reader.tensors, places, dtype, progress)
            files = {
                "config.json": config,
                "generation_config.json": _token_ids(metadata),
                "tokenizer.json": tokenizer(metadata),
                "tokenizer_config.json": tokenizer_config(metadata),
            }
            for name, content in files.items():
                (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        except OSError as error:
            raise CannotConvertError(f"writing failed: {error}") from error


def progress_printer(total: int) -> Callable[[int], None]:
    """On a terminal a line that overwrites itself, elsewhere ten lines."""
    is_terminal = sys.stderr.isatty()

    def show(done: int) -> None:
        line = f"{done} of {total} tensors, {100 * done // total} %"
        if is_terminal:
            sys.stderr.write(f"\r{line}" + "\n" * (done == total))
        elif done * NUM_PROGRESS_STEPS // total != (done - 1) * NUM_PROGRESS_STEPS // total:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    return show


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dtype", choices=sorted(BYTES_PER_VALUE), default="bfloat16")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the half-written folder is removed
    try:
        convert(given.source, given.out, given.dtype)
    except CannotConvertError as error:
        sys.exit(f"cannot convert {given.source}: {error}")
    except ModuleNotFoundError as error:
        sys.exit(
            f"cannot convert {given.source}: the package {error.name} is not installed for {sys.executable}. "
            f"Install it (`pip install gguf`), or name an interpreter that has it with --interpreter"
        )
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
