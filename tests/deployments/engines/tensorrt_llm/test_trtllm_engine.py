"""`deployments/engines/tensorrt_llm/engine.py` and `launcher.py`: what is written and started."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from configs.engine import ModelArgs
from deployments.engines import create_engine
from deployments.engines.contract import ChildCommand, EngineAddress
from deployments.engines.tensorrt_llm import launcher

HELP = """
Usage: trtllm-serve serve [OPTIONS] MODEL

  Running an OpenAI API compatible server

Options:
  --tokenizer TEXT                Path | Name of the tokenizer
  --host TEXT                     Hostname of the server.
  --tensor_parallel_size, --tp_size INTEGER
                                  Tensor parallelism size, see --host and --nothing
  --config, --extra_llm_api_options TEXT
                                  Path to a YAML file
  --trust_remote_code             Flag for HF transformers.
  -h, --help                      Show this message and exit.
"""
KNOWN = frozenset({"--host", "--port", "--config", "--tokenizer", "--tool_parser", "--chat_template", "--log_level"})


def command(**settings: object) -> ChildCommand:
    given = {"engine": "tensorrt_llm", "model": "m", "model_source": "org/weights", **settings}
    started = create_engine(ModelArgs.model_validate(given).root).command(EngineAddress("127.0.0.1", 4000, "s3cret"))
    assert started is not None
    return started


def launch(**settings: object) -> Any:
    return orjson.loads(command(**settings).environment["ENGINEHOUSE_ENGINE"])


def test_options_are_read_from_the_help() -> None:
    """Aliases count; an option that a description mentions does not."""
    expected = {"--tokenizer", "--host", "--tensor_parallel_size", "--tp_size", "--config", "--extra_llm_api_options"}

    assert {*expected, "--trust_remote_code", "--help"} == launcher.options_in(HELP)


def test_settings_become_arguments_of_the_file() -> None:
    """Settings have TensorRT-LLM's names there, and blocks keep what is not named."""
    written = launch(
        tensor_parallel_size=2,
        max_model_len=4096,
        max_num_seqs=8,
        llm_args={"kv_cache_config": {"tokens_per_block": 64}},
    )["llm_args"]

    assert (2, 4096, 8, {"enable_block_reuse": True, "free_gpu_memory_fraction": 0.9, "tokens_per_block": 64}) == (
        written["tensor_parallel_size"],
        written["max_seq_len"],
        written["max_batch_size"],
        written["kv_cache_config"],
    )


def test_what_is_not_set_is_left_to_tensorrt_llm() -> None:
    """Only what has a value of ours is written."""
    assert {"max_seq_len", "max_batch_size", "dtype", "reasoning_parser", "cuda_graph_config"}.isdisjoint(
        launch()["llm_args"]
    )


def test_schemas_are_always_enforced() -> None:
    """Without a backend for them, TensorRT-LLM ignores response_format without a word."""
    assert "xgrammar" == launch()["llm_args"]["guided_decoding_backend"]


def test_the_command_line_has_options_that_the_server_knows() -> None:
    """The file's option has two names; a name for the model is given where there is an option for it."""
    words = launcher.arguments(launch(tool_call_parser="qwen3"), KNOWN | {"--served_model_name"}, "/f.yaml")
    expected = ["serve", "org/weights", "--host", "127.0.0.1", "--port", "4000", "--config", "/f.yaml"]

    assert [*expected, "--served_model_name", "m", "--tool_parser", "qwen3"] == words


def test_older_servers_have_another_name_for_the_file() -> None:
    """`--extra_llm_api_options` came first."""
    words = launcher.arguments(launch(), frozenset({"--extra_llm_api_options"}), "/f.yaml")

    assert "--extra_llm_api_options" in words


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"extra_args": ["--log_levl=info"]}, "no option --log_levl; did you mean --log_level?"),
        ({"tool_call_parser": "qwen3"}, "tool_call_parser is set, but this trtllm-serve has no option --tool_parser"),
    ],
)
def test_an_option_that_the_server_lacks_is_named(settings: dict[str, object], message: str) -> None:
    """Before anything is loaded, and by the name of the setting."""
    with pytest.raises(launcher.CannotLaunch) as caught:
        launcher.arguments(launch(**settings), KNOWN - {"--tool_parser"}, "/f.yaml")

    assert message in str(caught.value)


def test_a_compiled_engine_has_its_own_backend(tmp_path: Path) -> None:
    """The folder says what it is."""
    (tmp_path / "config.json").write_text('{"version": "1.2.1", "pretrained_config": {}, "build_config": {}}')
    settings = launch(model_source=str(tmp_path), tokenizer_source="/checkpoint")
    words = launcher.arguments(settings, KNOWN | {"--backend"}, "/f.yaml")

    assert "tensorrt" == words[words.index("--backend") + 1]


def test_a_compiled_engine_needs_a_tokenizer(tmp_path: Path) -> None:
    """It has none; the setting is named."""
    (tmp_path / "config.json").write_text('{"version": "1.2.1", "pretrained_config": {}, "build_config": {}}')
    with pytest.raises(launcher.CannotLaunch, match="tokenizer_source must be set"):
        launcher.arguments(launch(model_source=str(tmp_path)), KNOWN | {"--backend"}, "/f.yaml")


def test_a_compiled_engine_needs_a_server_that_takes_it(tmp_path: Path) -> None:
    """Later versions take none, and say so before they load anything."""
    (tmp_path / "config.json").write_text('{"version": "1.2.1", "pretrained_config": {}, "build_config": {}}')
    with pytest.raises(launcher.CannotLaunch) as caught:
        launcher.arguments(launch(model_source=str(tmp_path)), KNOWN, "/f.yaml")

    assert "takes none any more" in str(caught.value)


@pytest.mark.parametrize("is_folder", [True, False])
def test_a_missing_model_is_named(tmp_path: Path, *, is_folder: bool) -> None:
    """A path without a model is told before TensorRT-LLM is asked anything."""
    path = tmp_path if is_folder else tmp_path / "nowhere"
    with pytest.raises(launcher.CannotLaunch) as caught:
        launcher.check_model(str(path))

    assert ("no config.json" if is_folder else "no such folder") in str(caught.value)


def test_variables_of_an_mpi_job_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT-LLM would take itself for one of the job's ranks."""
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    kept = launcher.clean_environment()

    assert ({"CUDA_VISIBLE_DEVICES"}) == {"OMPI_COMM_WORLD_RANK", "SLURM_PROCID", "CUDA_VISIBLE_DEVICES"} & kept.keys()


def test_the_file_is_readable_by_us_alone() -> None:
    """It may name what a site keeps to itself."""
    path = Path(launcher.write_config({"max_seq_len": 8}))

    assert (0o600, {"max_seq_len": 8}) == (path.stat().st_mode & 0o777, orjson.loads(path.read_bytes()))
    path.unlink()


def test_gpu_memory_of_a_predecessor_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the memory in use falls, nothing is started; memory that somebody keeps is not waited for."""
    readings = tmp_path / "readings"
    readings.write_text("900\n500\n100\n100\n100\n")
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nhead -n 1 {readings}\nsed -i 1d {readings}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(launcher, "GPU_MEMORY_POLL_S", 0.0)
    launcher.wait_for_gpu_memory()

    assert "100\n" == readings.read_text()
