"""
A model's folder without weights, which vLLM fills at random (`load_format: dummy`): full speed, and no download.

    python -m bench.random_model SHAPE TOKENIZER_FOLDER FOLDER
"""

import json
import shutil
from pathlib import Path

import click

_LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5}
_BERT = {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "type_vocab_size": 2}


def _shape(
    base: dict[str, object], hidden: int, inner: int, layers: int, heads: int, **others: int
) -> dict[str, object]:
    sizes = {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers}
    return {**base, **sizes, "num_attention_heads": heads, **others}


SHAPES = {
    "llama-8b": _shape(_LLAMA, 4096, 14336, 32, 32, num_key_value_heads=8, max_position_embeddings=8192),
    # As Qwen2.5-Coder-1.5B.
    "llama-1.5b": _shape(_LLAMA, 1536, 8960, 28, 12, num_key_value_heads=2, max_position_embeddings=32_768),
    # As Qwen3-Embedding-0.6B.
    "llama-0.6b": _shape(_LLAMA, 1024, 3072, 28, 16, num_key_value_heads=8, max_position_embeddings=32_768),
    "llama-1-layer": _shape(_LLAMA, 64, 128, 1, 2, num_key_value_heads=2, max_position_embeddings=2048),
    # As bge-small-en and bge-large-en, with the tokenizer's own vocabulary.
    "bert-small": _shape(_BERT, 384, 1536, 12, 12, max_position_embeddings=512),
    "bert-large": _shape(_BERT, 1024, 4096, 24, 16, max_position_embeddings=512),
}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@click.command()
@click.argument("shape", type=click.Choice(list(SHAPES)))
@click.argument("tokenizer", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("folder", type=click.Path(path_type=Path))
def main(shape: str, tokenizer: Path, folder: Path) -> None:
    """Write a model's folder in the shape of a known one, with the tokenizer of another folder."""
    vocabulary = json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"]
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if (tokenizer / name).exists():
            shutil.copy(tokenizer / name, folder)
    config = {**SHAPES[shape], "vocab_size": -(-len(vocabulary) // 64) * 64, "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=2))


if __name__ == "__main__":
    main()
