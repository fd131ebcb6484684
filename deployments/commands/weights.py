"""`enginehouse weights`: GGUF weights as the folder that vLLM and TensorRT-LLM load."""

import subprocess
import sys
from pathlib import Path

import click

from deployments.engines.llama_cpp.llama_cpp_server import BadWeightsError, find_weights

# Run by path: the interpreter may belong to an environment that has nothing of ours.
CONVERTER = Path(__file__).parents[1] / "conversion" / "gguf_to_folder.py"


@click.command()
@click.argument("source")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--dtype",
    type=click.Choice(["bfloat16", "float32"]),
    default="bfloat16",
    show_default=True,
    help="Precision of the values in the folder: 2 or 4 bytes each. CPUs want float32.",
)
@click.option(
    "--interpreter",
    help="Python that has the package gguf, such as an engine's own. Default: the one that runs this.",
)
def weights(source: str, out: Path, dtype: str, interpreter: str | None) -> None:
    """Convert GGUF weights to a Hugging Face folder OUT, which vLLM loads.

    SOURCE is the path of a GGUF file, or package:NAME for the one GGUF file inside an installed Python package, as in
    the setting model_source of llama.cpp. Weights of the architecture llama (Llama 2, Llama 3.0, SmolLM2) with a
    byte-level tokenizer can be converted. Quantized values are unpacked: they take more room and get no better.

    OUT must not exist, or be empty. It appears when it is complete. Exit code 1 when something is missing.
    """
    try:
        path = find_weights(source)
    except BadWeightsError as error:
        raise click.ClickException(str(error)) from error
    interpreter = interpreter or sys.executable  # as the option's default it would stand in the docs, as a path of ours
    try:
        done = subprocess.run([interpreter, str(CONVERTER), str(path), str(out), "--dtype", dtype], check=False)
    except OSError as error:
        raise click.ClickException(f"cannot execute the interpreter {interpreter}: {error.strerror}") from error
    if done.returncode != 0:
        sys.exit(done.returncode)
    click.echo(f"{out} has the weights of {path.name} as {dtype}")
