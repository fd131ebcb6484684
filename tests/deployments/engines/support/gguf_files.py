"""GGUF files for the tests: a tiny reranking model with random weights, and weights that know fill-in-the-middle."""

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ALIGNMENT = 32
_U32, _F32, _BOOL, _STRING, _ARRAY = 4, 6, 7, 8, 9

Value = bool | int | float | str | Sequence[str]
Shape = tuple[int, ...]

WORDS = ("cats", "dogs", "purr", "bark", "rivers", "flow", "what", "do")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_reranker(path: Path) -> None:
    """
    A BERT of one layer and 32 dimensions that ranks; the same in every run. It knows `WORDS`.

    Its scores mean nothing, but llama.cpp computes them as it does those of a model that was trained.
    """
    tokens = [*_SPECIAL, *(f"\u2581{word}" for word in WORDS)]  # that sign begins a word
    metadata: dict[str, Value] = {
        "general.architecture": "bert",
        "bert.block_count": 1,
        "bert.context_length": 64,
        "bert.embedding_length": 32,
        "bert.feed_forward_length": 64,
        "bert.attention.head_count": 2,
        "bert.attention.layer_norm_epsilon": 1e-6,
        "bert.attention.causal": False,
        "bert.pooling_type": 4,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.cls_token_id": 2,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,  # so spelled in the format
        "tokenizer.ggml.eos_token_id": 3,
        "tokenizer.ggml.mask_token_id": 4,
    }
    path.write_bytes(_file(metadata, dict(_bert_shapes(len(tokens)))))


def _bert_shapes(num_tokens: int) -> Iterator[tuple[str, Shape]]:
    yield from {
        "token_embd.weight": (32, num_tokens),
        "token_types.weight": (32, 2),
        "position_embd.weight": (32, 64),
        "cls.weight": (32, 32),
        "cls.bias": (32,),
        "cls.output.weight": (32, 1),
        "cls.output.bias": (1,),
        "token_embd_norm.weight": (32,),
        "token_embd_norm.bias": (32,),
    }.items()
    layers = {"attn_q": (32, 32), "attn_k": (32, 32), "attn_v": (32, 32), "attn_output": (32, 32)}
    for name, shape in {**layers, "ffn_up": (32, 64), "ffn_down": (64, 32)}.items():
        yield f"blk.0.{name}.weight", shape
        yield f"blk.0.{name}.bias", shape[1:]
    for name in ("attn_output_norm", "layer_output_norm"):
        yield f"blk.0.{name}.weight", (32,)
        yield f"blk.0.{name}.bias", (32,)


def write_with_fim_tokens(weights: Path, path: Path) -> None:
    """`weights`, saying that its tokens 3, 4 and 5 stand before, after and between the halves of a text."""
    content = weights.read_bytes()
    version, num_tensors, num_pairs = struct.unpack_from("<IQQ", content, 4)
    (length,) = struct.unpack_from("<Q", content, 24)
    assert content[32 : 32 + length] == b"general.architecture"
    ids = {f"tokenizer.ggml.fim_{name}_token_id": number for name, number in (("pre", 3), ("suf", 4), ("mid", 5))}
    pairs = b"".join(_pair(name, number) for name, number in ids.items())
    # What the file already has must keep its place among the multiples of the alignment, so a last key fills up.
    filler = "f" * (-(len(pairs) + 8 + 4 + 4) % ALIGNMENT)
    pairs += _text(filler) + struct.pack("<II", _U32, 0)
    head = b"GGUF" + struct.pack("<IQQ", version, num_tensors, num_pairs + len(ids) + 1)
    path.write_bytes(head + pairs + content[24:])


def _file(metadata: Mapping[str, Value], shapes: Mapping[str, Shape]) -> bytes:
    numbers = random.Random(0)  # noqa: S311 - weights, not secrets
    infos, data = bytearray(), bytearray()
    for name, shape in shapes.items():
        infos += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        size = 1
        for extent in shape:
            size *= extent
        is_scale = name.endswith("norm.weight")
        values = [1.0 if is_scale else numbers.gauss(0, 0.5) for _ in range(size)]
        data += struct.pack(f"<{size}f", *values)
        data += bytes(-len(data) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(metadata))
    head += b"".join(_pair(name, value) for name, value in metadata.items()) + infos
    return bytes(head + bytes(-len(head) % ALIGNMENT) + data)


def _pair(name: str, value: Value) -> bytes:
    match value:
        case bool():
            kind, packed = _BOOL, struct.pack("<?", value)
        case int():
            kind, packed = _U32, struct.pack("<I", value)
        case float():
            kind, packed = _F32, struct.pack("<f", value)
        case str():
            kind, packed = _STRING, _text(value)
        case _:
            kind, packed = _ARRAY, struct.pack("<IQ", _STRING, len(value)) + b"".join(map(_text, value))
    return _text(name) + struct.pack("<I", kind) + packed


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded
