"""One run of the server: arguments, GPUs, port, checkpoint, workers, and then HTTP."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
import yaml
from api import Server, create_app
from generation import Engine
from llm_args import llm_args_model
from model_folder import BadModelFolderError, read_model_folder
from pydantic import BaseModel, ValidationError
from settings import Settings, read_settings

HERE = Path(__file__).parent
KEEP_ALIVE_S = 5
LLM_ARGS_FROM_OPTIONS = (
    "backend",
    "tokenizer",
    "custom_tokenizer",
    "max_beam_width",
    "max_batch_size",
    "max_num_tokens",
    "max_seq_len",
    "tensor_parallel_size",
    "pipeline_parallel_size",
    "context_parallel_size",
    "moe_expert_parallel_size",
    "moe_cluster_parallel_size",
    "gpus_per_node",
    "num_postprocess_workers",
    "trust_remote_code",
    "revision",
    "reasoning_parser",
    "fail_fast_on_attention_window_too_large",
    "otlp_traces_endpoint",
    "enable_chunked_prefill",
)
OUT_OF_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB "
    "of which 1.06 GiB is free. Including non-PyTorch memory, this process has 78.04 GiB memory in use."
)


def fail(message: str) -> NoReturn:
    """Ends as Python does on an exception that nobody caught: a traceback's last line, and 1."""
    sys.exit(f"Traceback (most recent call last):\n{message}")


def read_llm_args(options: dict[str, Any]) -> Any:
    """
    The arguments of the engine: the options, with the YAML's keys over them.

    Raises:
        SystemExit: with pydantic's own words on a key or a value that is not known.
    """
    args = {name: options[name] for name in LLM_ARGS_FROM_OPTIONS if options.get(name) is not None}
    args["kv_cache_config"] = {"free_gpu_memory_fraction": options["free_gpu_memory_fraction"]}
    given = read_yaml(options.get("extra_llm_api_options"))
    model = llm_args_model(given.get("backend", args["backend"]))
    known = {name: value for name, value in args.items() if name in model.model_fields}
    try:
        return model.model_validate({"model": options["model"]} | known | given)
    except ValidationError as error:
        fail(f"pydantic_core._pydantic_core.ValidationError: {error}")


def read_yaml(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        given = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        fail(f"{type(error).__name__}: {error}")
    if not isinstance(given, dict):
        fail(f"TypeError: '{type(given).__name__}' object is not a mapping")
    return given


def check_gpus(settings: Settings, args: BaseModel) -> int:
    """The number of ranks, after it was seen that there are as many GPUs."""
    world = args.tensor_parallel_size * args.pipeline_parallel_size * args.context_parallel_size
    num_gpus = settings.gpus()
    if num_gpus == 0 and args.gpus_per_node is None:
        fail("ValueError: gpus_per_node is not set, and no GPU is available")
    if world > num_gpus:
        fail(f"RuntimeError: Only {num_gpus} GPUs are available, but {world} are required.")
    return world


def bind(host: str, port: int) -> socket.socket:
    if port <= 0:
        fail("AssertionError: Port must be specified if disagg cluster config is not provided")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        fail(f"RuntimeError: Failed to bind socket to {host}:{port}: {error}")
    return bound


def start_workers(settings: Settings, world: int) -> list[subprocess.Popen[bytes]]:
    """One process for each rank, in a group of its own: a signal to the server's group does not reach it."""
    command = [sys.executable, "-I", "-S", str(HERE / "worker.py"), *(["stubborn"] * settings.is_worker_stubborn)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0) for _ in range(world)]
    settings.note("workers", pids=[worker.pid for worker in workers])
    return workers


def load(settings: Settings) -> None:
    time.sleep(settings.load_s)
    if settings.fail == "load_oom":
        fail(OUT_OF_MEMORY)
    if settings.fail == "load_crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    while settings.fail == "load_hangs":
        signal.pause()


async def watch_workers(workers: list[subprocess.Popen[bytes]], engine: Engine) -> None:
    """A rank that dies takes the executor with it, and the executor the server."""
    while all(worker.poll() is None for worker in workers):  # noqa: ASYNC110  other processes set no event
        await asyncio.sleep(0.1)
    engine.is_broken = True
    sys.stderr.write("[TRT-LLM] [E] a worker died: shutting down\n")
    signal.raise_signal(signal.SIGINT)


async def run(server: Server, bound: socket.socket, workers: list[subprocess.Popen[bytes]]) -> None:
    config = uvicorn.Config(create_app(server), log_level="info", timeout_keep_alive=KEEP_ALIVE_S)
    watcher = asyncio.create_task(watch_workers(workers, server.engine))
    try:
        await uvicorn.Server(config).serve(sockets=[bound])
    finally:
        watcher.cancel()


def serve(**options: Any) -> None:
    settings = read_settings()
    if options.get("media_io_kwargs"):
        json.loads(options["media_io_kwargs"])
    args = read_llm_args(options)
    world = check_gpus(settings, args)
    bound = bind(options["host"], options["port"])
    settings.note("bound", port=options["port"], pid=os.getpid())
    backend = args.backend or "pytorch"
    if backend == "tensorrt" and settings.version == "1.4.0rc1":
        fail("ValueError: backend 'tensorrt' is not supported any more")
    try:
        folder = read_model_folder(options["model"], backend)
    except BadModelFolderError as error:
        fail(str(error))
    workers = start_workers(settings, world)
    try:
        load(settings)
        engine = Engine(
            settings,
            max_seq_len=settings.context_length or args.max_seq_len or folder.context_length,
            max_num_tokens=None if args.enable_chunked_prefill else args.max_num_tokens,
            max_batch_size=args.max_batch_size or 2048,
        )
        server = Server(
            settings,
            engine,
            options.get("served_model_name") or folder.name,
            tool_parser=options.get("tool_parser"),
            reasoning_parser=args.reasoning_parser,
            is_guided=args.guided_decoding_backend is not None,
            has_iter_stats=getattr(args, "enable_iter_perf_stats", False),
            has_perf_metrics=args.return_perf_metrics,
        )
        asyncio.run(run(server, bound, workers))
    finally:
        for worker in workers:
            worker.stdin.close()
            if not settings.is_worker_stubborn:
                worker.wait()
