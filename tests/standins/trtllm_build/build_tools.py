"""
Stand-ins for the tools that built TensorRT-LLM's engines, up to 1.3.0rc20: `convert_checkpoint.py` of llama and gemma,
`quantize.py` and `trtllm-build`, with the options of the real ones and nothing behind them.

They note in the file STANDIN_BUILD_RECORD that they were called. STANDIN_BUILD_FAIL names tools that fail half-way;
STANDIN_BUILD_HANG tools that never end, and whose child does not obey SIGTERM.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

DTYPES = ["auto", "float16", "bfloat16", "float32"]
QFORMATS = [
    *("nvfp4", "fp8", "fp8_pc_pt", "int8_sq", "int4_awq", "w4a8_awq", "int8_wo", "int4_wo", "full_prec"),
]
SWITCH = ["enable", "disable"]
PLUGIN_TYPES = ["auto", "float16", "float32", "bfloat16", "int32", "disable"]


def llama_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("convert_checkpoint.py")
    for name in ("--model_dir", "--meta_ckpt_dir", "--quant_ckpt_path"):
        parser.add_argument(name)
    parser.add_argument("--output_dir", default="tllm_checkpoint")
    for name in ("--tp_size", "--pp_size", "--cp_size", "--workers"):
        parser.add_argument(name, type=int, default=1)
    for name in ("--moe_tp_size", "--moe_ep_size"):
        parser.add_argument(name, type=int, default=-1)
    parser.add_argument("--dtype", default="auto", choices=DTYPES)
    for name in ("--use_weight_only", "--int8_kv_cache", "--fp8_kv_cache", "--load_by_shard", "--load_model_on_cpu"):
        parser.add_argument(name, action="store_true")
    parser.add_argument(
        "--weight_only_precision", default="int8", choices=["int8", "int4", "int8_gptq", "int4_gptq", "int4_awq"]
    )
    return parser


def gemma_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("convert_checkpoint.py")
    parser.add_argument("--ckpt-type", choices=["jax", "keras", "torch", "hf"], required=True)
    parser.add_argument("--model-dir", "--model_dir", required=True)
    parser.add_argument("--output-model-dir", "--output_dir", dest="output_dir", required=True)
    parser.add_argument("--world-size", type=int, default=1, dest="tp_size")
    parser.add_argument("--dtype", default="auto", choices=DTYPES)
    parser.set_defaults(pp_size=1)
    return parser


def quantize_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("quantize.py")
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--output_dir", default="exported_model")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--device_map", default="auto", choices=["auto", "sequential", "cpu", "gpu"])
    parser.add_argument("--dtype", default="auto", choices=DTYPES)
    parser.add_argument("--qformat", default="full_prec", choices=QFORMATS)
    parser.add_argument("--kv_cache_dtype", default=None, choices=["int8", "fp8", None])
    parser.add_argument("--calib_dataset", default="cnn_dailymail")
    for name, value in (("--calib_size", 512), ("--batch_size", 1), ("--calib_max_seq_length", 512)):
        parser.add_argument(name, type=int, default=value)
    for name, value in (("--tp_size", 1), ("--pp_size", 1), ("--cp_size", 1), ("--awq_block_size", 128)):
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--quantize_lm_head", action="store_true")
    return parser


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("trtllm-build")
    for name in ("--checkpoint_dir", "--model_config", "--build_config", "--input_timing_cache"):
        parser.add_argument(name)
    parser.add_argument("--output_dir", default="engine_outputs")
    limits = {"--max_batch_size": 2048, "--max_input_len": 1024, "--max_beam_width": 1, "--max_num_tokens": 8192}
    for name, value in limits.items():
        parser.add_argument(name, type=int, default=value)
    parser.add_argument("--max_seq_len", "--max_decoder_seq_len", dest="max_seq_len", type=int)
    parser.add_argument("--opt_num_tokens", type=int)
    parser.add_argument("--kv_cache_type", choices=["continuous", "paged", "disabled"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--log_level", default="info", choices=["internal_error", "error", "warning", "info", "debug"])
    for name in ("--gemm_plugin", "--gpt_attention_plugin", "--nccl_plugin"):
        parser.add_argument(name, choices=PLUGIN_TYPES)
    for name in ("--context_fmha", "--use_paged_context_fmha", "--remove_input_padding", "--multiple_profiles"):
        parser.add_argument(name, choices=SWITCH)
    for name in ("--dry_run", "--fast_build", "--strip_plan", "--monitor_memory"):
        parser.add_argument(name, action="store_true")
    return parser


def write_checkpoint(given: argparse.Namespace) -> None:
    source = json.loads((Path(given.model_dir) / "config.json").read_text())
    world_size = given.tp_size * given.pp_size
    folder = Path(given.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architecture": source["architectures"][0],
        "mapping": {"world_size": world_size, "tp_size": given.tp_size, "pp_size": given.pp_size},
        "quantization": {"quant_algo": getattr(given, "qformat", None)},
        "max_position_embeddings": source.get("max_position_embeddings", 2048),
    }
    (folder / "config.json").write_text(json.dumps(config))
    for rank in range(world_size):
        (folder / f"rank{rank}.safetensors").write_bytes(b"weights of rank %d" % rank)
        say(f"rank {rank} of {world_size} is written")
        fail_on_command()


def write_engine(given: argparse.Namespace) -> None:
    import tensorrt_llm  # type: ignore[import-not-found]  # noqa: PLC0415  only where the stand-in is installed

    checkpoint = Path(given.checkpoint_dir)
    config = json.loads((checkpoint / "config.json").read_text())
    folder = Path(given.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    length = given.max_seq_len or config["max_position_embeddings"]
    build_config = {
        "max_batch_size": given.max_batch_size,
        "max_input_len": given.max_input_len,
        "max_num_tokens": given.max_num_tokens,
        "max_seq_len": length,
    }
    for rank in range(config["mapping"]["world_size"]):
        weights = (checkpoint / f"rank{rank}.safetensors").read_bytes()
        (folder / f"rank{rank}.engine").write_bytes(b"engine of " + weights)
        say(f"[TRT-LLM] [I] Serialized rank {rank}")
        fail_on_command()
    Path("model.cache").write_bytes(b"timings")  # as the real one: where it happens to run
    written = {"version": tensorrt_llm.__version__, "pretrained_config": config, "build_config": build_config}
    (folder / "config.json").write_text(json.dumps(written))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def fail_on_command() -> None:
    name = Path(sys.argv[0]).name
    if name in os.environ.get("STANDIN_BUILD_FAIL", "").split(","):
        sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
    if name in os.environ.get("STANDIN_BUILD_HANG", "").split(","):
        ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
        child = subprocess.Popen([sys.executable, "-c", f"{ignore}; time.sleep(600)"], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        note(child_pid=child.pid)
        hang()


def hang() -> NoReturn:
    while True:
        signal.pause()


def note(**what: object) -> None:
    record = os.environ.get("STANDIN_BUILD_RECORD")
    if record:
        with Path(record).open("a") as file:
            line = {"tool": Path(sys.argv[0]).name, "argv": sys.argv[1:], "pid": os.getpid(), **what}
            file.write(json.dumps(line) + "\n")


def main(kind: str) -> None:
    parsers = {"llama": llama_parser, "gemma": gemma_parser, "quantize": quantize_parser, "build": build_parser}
    given = parsers[kind]().parse_args()
    import tensorrt_llm  # noqa: PLC0415  as the real ones: not without it, and not before the options are right

    say(f"[TensorRT-LLM] TensorRT-LLM version: {tensorrt_llm.__version__}")
    note()
    (write_engine if kind == "build" else write_checkpoint)(given)
