"""How the stand-in of `trtllm-serve` starts, or does not: options, YAML, checkpoints, GPUs, ports."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from trtllm_installation import make_checkpoint, make_engine_folder, make_trtllm_bin
from trtllm_process import StandinProcess, free_port, wait_for

StartTrtllm = Callable[..., StandinProcess]


def help_of(trtllm_bin: Path, *arguments: str, version: str = "1.3.0rc3") -> str:
    command = [str(trtllm_bin / "trtllm-serve"), *arguments, "--help"]
    env = os.environ | {"STANDIN_VERSION": version}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def test_help_lists_the_commands(trtllm_bin: Path) -> None:
    """Without a command, help is about all of them."""
    listed = {line.split()[0] for line in help_of(trtllm_bin).partition("Commands:")[2].splitlines() if line.strip()}
    assert {"serve", "disaggregated", "disaggregated_mpi_worker", "mm_embedding_serve"} == listed


def test_help_of_serve_lists_both_names_of_an_option(trtllm_bin: Path) -> None:
    """An option with an alias is one line, as in click."""
    assert "--tensor_parallel_size, --tp_size INTEGER" in help_of(trtllm_bin, "serve")


@pytest.mark.parametrize(("version", "is_listed"), [("1.2.1", False), ("1.3.0rc3", False), ("1.4.0rc1", True)])
def test_served_model_name_came_later(version: str, is_listed: bool, trtllm_bin: Path) -> None:  # noqa: FBT001
    """Only the newest of the versions lists --served_model_name."""
    assert is_listed == ("--served_model_name" in help_of(trtllm_bin, "serve", version=version))


def test_an_installed_python_finds_our_packages(trtllm_bin: Path) -> None:
    """The program `python` beside `trtllm-serve` is an interpreter of this environment."""
    done = subprocess.run(
        [trtllm_bin / "python", "-c", "import uvicorn; print('yes')"], capture_output=True, check=True
    )
    assert b"yes\n" == done.stdout


def test_an_installation_may_have_its_own_choices(tmp_path: Path) -> None:
    """Its version is that of its metadata and of its server, without a variable in the environment."""
    programs = make_trtllm_bin(tmp_path, version="1.4.0rc1")
    code = "import importlib.metadata; print(importlib.metadata.version('tensorrt_llm'))"
    asked = subprocess.run([programs / "python", "-c", code], capture_output=True, check=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("STANDIN_")}
    helped = subprocess.run([programs / "trtllm-serve", "serve", "--help"], env=env, capture_output=True, check=True)
    assert (b"1.4.0rc1\n", True) == (asked.stdout, b"--served_model_name" in helped.stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--nonsense", "1"], "No such option '--nonsense'"),
        (["--tp-size", "1"], "No such option '--tp-size'"),
        (["--tp_size", "two"], "'two' is not a valid integer."),
        (["--tool_parser", "hermes"], "'hermes' is not one of"),
    ],
)
def test_a_bad_option_ends_the_start(options: list[str], message: str, start_trtllm: StartTrtllm) -> None:
    """Click refuses it, with 2."""
    standin = start_trtllm(*options, is_ready=False)
    assert 2 == standin.wait_exit()
    assert message in standin.output().replace("option: --", "option '--").replace("'--tp-size' ", "'--tp-size'")


@pytest.mark.parametrize(
    ("yaml", "messages"),
    [
        (
            "nonsense: 1",
            [
                "1 validation error for TorchLlmArgs\nnonsense\n",
                "  Extra inputs are not permitted [type=extra_forbidden, input_value=1, input_type=int]",
            ],
        ),
        (
            "kv_cache_config: {nonsense: 1}",
            ["kv_cache_config.nonsense\n  Extra inputs are not permitted [type=extra_forbidden"],
        ),
        ("max_batch_size: many", ["max_batch_size\n  Input should be a valid integer"]),
        (
            "guided_decoding_backend: outlines",
            ["guided_decoding_backend\n  Input should be 'xgrammar' or 'llguidance'"],
        ),
        ("kv_cache_config: {free_gpu_memory_fraction: 2}", ["must be a float between 0 and 1"]),
        ("quant_config: {}", ["quant_config\n  Extra inputs are not permitted"]),
        ("- a list", ["is not a mapping"]),
    ],
)
def test_a_bad_yaml_ends_the_start(yaml: str, messages: list[str], start_trtllm: StartTrtllm) -> None:
    """Unknown keys and wrong types are fatal at every level, in pydantic's words."""
    standin = start_trtllm(yaml=yaml, is_ready=False)
    assert 1 == standin.wait_exit()
    assert [] == [message for message in messages if message not in standin.output()]


def test_a_rich_yaml_is_taken(start_trtllm: StartTrtllm) -> None:
    """What the facts recommend is accepted."""
    start_trtllm(
        yaml="""
guided_decoding_backend: xgrammar
enable_chunked_prefill: true
kv_cache_config: {free_gpu_memory_fraction: 0.8, event_buffer_max_size: 1024}
return_perf_metrics: true
enable_iter_perf_stats: true
cuda_graph_config: {enable_padding: true}
scheduler_config: {capacity_scheduler_policy: MAX_UTILIZATION}
"""
    )


def test_the_port_is_bound_but_refuses_while_loading(start_trtllm: StartTrtllm) -> None:
    """Connections are refused until the model is loaded, with the port taken all the while."""
    standin = start_trtllm(env={"STANDIN_FAIL": "load_hangs"}, is_ready=False)
    wait_for("the bound port", lambda: standin.notes("bound"))
    assert standin.is_refused()
    with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind(("127.0.0.1", standin.port))


def test_a_taken_port_ends_the_start_before_loading(start_trtllm: StartTrtllm) -> None:
    """A clash of ports shows at once."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        standin = start_trtllm(is_ready=False, port=port, env={"STANDIN_FAIL": "load_hangs"})
        assert 1 == standin.wait_exit()
    assert f"Failed to bind socket to 127.0.0.1:{port}" in standin.output()


def test_port_zero_is_refused(start_trtllm: StartTrtllm) -> None:
    """There are no ephemeral ports."""
    standin = start_trtllm("--port", "0", is_ready=False, port=free_port())
    # The last --port wins, so this one is given again behind the fixture's.
    standin.process.kill()
    standin.process.wait()
    command = [*standin.process.args, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (1, True) == (done.returncode, "Port must be specified" in done.stderr)


@pytest.mark.parametrize(
    ("env", "status", "message"),
    [
        ({"STANDIN_FAIL": "load_oom"}, 1, "torch.OutOfMemoryError: CUDA out of memory."),
        ({"STANDIN_FAIL": "load_crash"}, -signal.SIGSEGV, ""),
        ({"STANDIN_NUM_GPUS": "0"}, 1, "no GPU is available"),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, 1, "Only 2 GPUs are available, but 4 are required."),
    ],
)
def test_a_load_that_fails_ends_the_process(
    env: dict[str, str], status: int, message: str, start_trtllm: StartTrtllm
) -> None:
    """The reason stands in the output."""
    standin = start_trtllm("--tp_size", "4", env=env, is_ready=False)
    assert status == standin.wait_exit()
    assert message in standin.output()


def test_an_unknown_architecture_ends_the_start(start_trtllm: StartTrtllm, tmp_path: Path) -> None:
    """A checkpoint that the backend does not know is refused by name."""
    model = make_checkpoint(tmp_path / "model", architecture="BertModel")
    standin = start_trtllm(model=model, is_ready=False)
    assert 1 == standin.wait_exit()
    assert "Unknown architecture for AutoModelForCausalLM: BertModel" in standin.output()


def test_a_folder_without_config_ends_the_start(start_trtllm: StartTrtllm, tmp_path: Path) -> None:
    """An empty folder is no model."""
    (tmp_path / "model").mkdir()
    standin = start_trtllm(model=tmp_path / "model", is_ready=False)
    assert 1 == standin.wait_exit()
    assert "does not appear to have a file named config.json" in standin.output()


def test_an_engine_folder_is_served_by_the_old_backend(start_trtllm: StartTrtllm, tmp_path: Path) -> None:
    """Up to 1.3.0rc20 a built engine is a model."""
    engine = make_engine_folder(tmp_path / "engine")
    standin = start_trtllm("--backend", "tensorrt", model=engine, env={"STANDIN_VERSION": "1.2.1"})
    assert "engine" == standin.request("GET", "/v1/models").json()["data"][0]["id"]


def test_the_old_backend_went_away(start_trtllm: StartTrtllm) -> None:
    """Later versions do not know its name."""
    standin = start_trtllm("--backend", "tensorrt", env={"STANDIN_VERSION": "1.4.0rc1"}, is_ready=False)
    assert 2 == standin.wait_exit()


def test_each_rank_is_a_process_in_its_own_group(start_trtllm: StartTrtllm) -> None:
    """A signal to the server's group does not reach its workers."""
    standin = start_trtllm("--tp_size", "2")
    pids = standin.notes("workers")[0]["pids"]
    assert pids == [os.getpgid(pid) for pid in pids]
    assert 2 == len(pids)
