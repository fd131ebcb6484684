"""`enginehouse build` as a whole, in real processes, on stand-ins of TensorRT-LLM's tools."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from trtllm_build_environment import A100, BuildEnvironment, make_build_environment, make_weights

DEADLINE_S = 60.0


def wait_for(what: str, look: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not look():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S:g} s"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder, where engines are built."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_a_whole_build(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """Two steps, an engine that says what it is, the settings to serve it, and nothing else beside it."""
    done = trtllm.build(weights, place / "engine", "--tensor-parallel-size", 2, "--max-batch-size", 8)

    assert 0 == done.returncode, done.stderr
    assert (["engine"], []) == (names(place), names(trtllm.cwd))
    assert ["build-logs", "config.json", "manifest.json", "rank0.engine", "rank1.engine"] == names(place / "engine")
    manifest = json.loads((place / "engine/manifest.json").read_text())
    assert ("1.2.1", "10.14.1.48", 90, 2, 8) == (
        manifest["tensorrt_llm"],
        manifest["tensorrt"],
        manifest["gpu"]["sm"],
        manifest["world_size"],
        manifest["recipe"]["max_batch_size"],
    )
    assert ["config.json", "rank0.engine", "rank1.engine"] == sorted(manifest["files"])
    assert f"model_source: {place / 'engine'}\n  tokenizer_source: {weights}" in done.stdout
    assert "step 2 of 2, engine: finished in" in done.stderr


def test_a_quantized_build(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """Through the other tool, with an option of trtllm-build's own; each tool takes what it is given."""
    words = ["--quantization", "fp8", "--kv-cache-dtype", "fp8", "--build-arg=--gemm_plugin", "--build-arg=auto"]
    done = trtllm.build(weights, place / "engine", *words)

    assert 0 == done.returncode, done.stderr
    assert ["quantize.py", "trtllm-build"] == trtllm.tools_called()


def test_paths_may_be_relative(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """To where the command is given; the tools run elsewhere."""
    (trtllm.cwd / "model").symlink_to(weights)
    (trtllm.cwd / "texts").mkdir()
    command = trtllm.command("model", "engine", "--quantization", "int8_sq", "--calibration-data", "texts")
    command[command.index("--interpreter") + 1] = "../bin/python"
    done = subprocess.run(command, env=trtllm.environ, cwd=trtllm.cwd, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
    assert str(trtllm.cwd / "texts") in trtllm.notes()[0]["argv"]
    assert ["engine", "model", "texts"] == names(trtllm.cwd)


def test_gemma_is_built(trtllm: BuildEnvironment, tmp_path: Path, place: Path) -> None:
    """Whose script would refuse the options of the others."""
    done = trtllm.build(make_weights(tmp_path / "gemma", architecture="Gemma2ForCausalLM"), place / "engine")

    assert 0 == done.returncode, done.stderr


def test_a_failed_build_goes_on_after_its_last_finished_step(
    trtllm: BuildEnvironment, weights: Path, place: Path
) -> None:
    """The failure names the tool, its last words and its log; the second run does not convert again."""
    failed = trtllm.build(weights, place / "engine", STANDIN_BUILD_FAIL="trtllm-build")
    log = place / ".engine.build/logs/2-engine.log"
    assert (1, False) == (failed.returncode, (place / "engine").exists())
    assert f"engine: trtllm-build ended with code 1; its output is in {log}" in failed.stderr
    assert "CUDA out of memory" in failed.stderr
    assert "CUDA out of memory" in log.read_text()

    done = trtllm.build(weights, place / "engine")
    assert 0 == done.returncode, done.stderr
    assert ["convert_checkpoint.py", "trtllm-build", "trtllm-build"] == trtllm.tools_called()
    assert "going on after an earlier run, which finished: converted" in done.stderr


def test_a_changed_recipe_starts_anew(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """And says what has changed."""
    trtllm.build(weights, place / "engine", STANDIN_BUILD_FAIL="trtllm-build")
    done = trtllm.build(weights, place / "engine", "--max-batch-size", 4)

    assert 0 == done.returncode, done.stderr
    assert "what is to be built has changed (max_batch_size): starting anew" in done.stderr
    assert ["convert_checkpoint.py", "trtllm-build"] * 2 == trtllm.tools_called()


def test_changed_weights_start_anew(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """What was converted was another model."""
    trtllm.build(weights, place / "engine", STANDIN_BUILD_FAIL="trtllm-build")
    os.utime(weights / "model.safetensors", (1, 1))
    done = trtllm.build(weights, place / "engine")

    assert "has changed (content of the checkpoint): starting anew" in done.stderr


def test_an_option_that_the_tool_does_not_know_fails_there(
    trtllm: BuildEnvironment, weights: Path, place: Path
) -> None:
    """Its own message is shown."""
    done = trtllm.build(weights, place / "engine", "--build-arg=--no_such_option")

    assert (1, True) == (done.returncode, "unrecognized arguments: --no_such_option" in done.stderr)


def test_too_small_a_disk_is_told_before_anything_runs(trtllm: BuildEnvironment, tmp_path: Path, place: Path) -> None:
    """With what is needed and what is free; and nothing is left behind."""
    huge = make_weights(tmp_path / "huge", size_bytes=4 * 10**12)
    done = trtllm.build(huge, place / "engine")

    assert 1 == done.returncode
    assert "about 8802.1 GB of disk are needed" in done.stderr
    assert "GB are free" in done.stderr
    assert ([], []) == (trtllm.tools_called(), names(place))


def test_needs_may_be_ignored(trtllm: BuildEnvironment, tmp_path: Path, place: Path) -> None:
    """They are estimates."""
    huge = make_weights(tmp_path / "huge", size_bytes=4 * 10**12)

    assert 0 == trtllm.build(huge, place / "engine", "--ignore-needs").returncode


def test_newer_versions_need_no_build(tmp_path: Path, weights: Path, place: Path) -> None:
    """One line says what to set, and nothing runs."""
    trtllm = make_build_environment(tmp_path / "newer", version="1.3.0rc21", tensorrt=None)
    done = trtllm.build(weights, place / "engine")

    assert (0, []) == (done.returncode, names(place))
    assert (
        "No build is needed: TensorRT-LLM 1.3.0rc21 loads checkpoints directly; set "
        f"model_source: {weights}\n" == done.stdout
    )


def test_an_engine_that_is_there_is_not_built_again(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """Only another one in its place would be an error."""
    trtllm.build(weights, place / "engine")
    again = trtllm.build(weights, place / "engine")
    other = trtllm.build(weights, place / "engine", "--max-batch-size", 4)
    trtllm.set_gpus(A100)
    elsewhere = trtllm.build(weights, place / "engine")

    assert ["convert_checkpoint.py", "trtllm-build"] == trtllm.tools_called()
    assert ((0, True), ["engine"]) == ((again.returncode, "was built already" in again.stdout), names(place))
    assert (1, True) == (other.returncode, "with another max_batch_size (None, not 4)" in other.stderr)
    assert (1, True) == (elsewhere.returncode, "with another GPU (SM 90, not SM 80)" in elsewhere.stderr)


def test_what_is_not_ours_is_left_alone(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """A folder without a manifest may be anything."""
    (place / "engine").mkdir()
    (place / "engine/thesis.txt").write_text("mine")
    done = trtllm.build(weights, place / "engine")

    assert (1, True) == (done.returncode, "exists already, and is left alone" in done.stderr)
    assert (["engine"], ["thesis.txt"]) == (names(place), names(place / "engine"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_ends_the_tools(trtllm: BuildEnvironment, weights: Path, place: Path, number: signal.Signals) -> None:
    """Also a child that does not obey; and the next run goes on."""
    build = trtllm.start(weights, place / "engine", STANDIN_BUILD_HANG="trtllm-build")
    try:
        wait_for("the tool has a child", lambda: any("child_pid" in note for note in trtllm.notes()))
        build.send_signal(number)
        output, _ = build.communicate(timeout=DEADLINE_S)
    finally:
        build.kill()
    note = trtllm.notes()[-1]
    assert (128 + number, True) == (build.returncode, "goes on after the last finished step" in output)
    wait_for("the tool and its child are gone", lambda: not is_alive(note["pid"]) and not is_alive(note["child_pid"]))

    done = trtllm.build(weights, place / "engine")
    assert 0 == done.returncode, done.stderr
    assert ["convert_checkpoint.py", "trtllm-build", "trtllm-build"] == trtllm.tools_called()


def test_two_builds_of_one_engine_do_not_run_at_once(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """The second ends, and names the first; it does not disturb it."""
    first = trtllm.start(weights, place / "engine", STANDIN_BUILD_HANG="trtllm-build")
    try:
        wait_for("the first one compiles", lambda: any("child_pid" in note for note in trtllm.notes()))
        second = trtllm.build(weights, place / "engine")
        assert 1 == second.returncode
        assert f"another build of {place / 'engine'} is running: process {first.pid}" in second.stderr
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=DEADLINE_S)


def test_tools_that_outlive_their_build_keep_others_out(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """A killed build ends nothing, and its tool still writes into the folder."""
    first = trtllm.start(weights, place / "engine", STANDIN_BUILD_HANG="trtllm-build")
    wait_for("it compiles", lambda: any("child_pid" in note for note in trtllm.notes()))
    tool = trtllm.notes()[-1]["pid"]
    first.kill()
    first.communicate(timeout=DEADLINE_S)
    try:
        second = trtllm.build(weights, place / "engine")
        assert (1, True) == (second.returncode, "or a tool that it has left behind" in second.stderr)
    finally:
        os.killpg(tool, signal.SIGKILL)


def test_verify_reads_everything(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """A changed byte, which no size betrays."""
    trtllm.build(weights, place / "engine")
    whole = verify(place / "engine")
    path = place / "engine/rank0.engine"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    damaged = verify(place / "engine")

    assert (0, True) == (whole.returncode, "is as it was written: 2 files" in whole.stdout), whole.stderr
    assert (1, True) == (damaged.returncode, "rank0.engine has another content than was written" in damaged.stderr)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": 1', '"format": 1, "note": "x"', "note: Extra inputs are not permitted"),
        ('"format": 1', '"format": 2', "format: Input should be 1"),
        ('"size_bytes": ', '"size_bytes": -', "size_bytes"),
        ('"world_size": 1', '"world_size": "one"', "world_size: Input should be a valid integer"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(
    trtllm: BuildEnvironment, weights: Path, place: Path, old: str, new: str, message: str
) -> None:
    """It is read strictly, and the field is named."""
    trtllm.build(weights, place / "engine")
    path = place / "engine/manifest.json"
    path.write_text(path.read_text().replace(old, new, 1))
    done = verify(place / "engine")

    assert (1, True) == (done.returncode, message in done.stderr), done.stderr


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    """As it is done where no TensorRT-LLM is."""
    command = [*BuildEnvironment(folder).command()[:2], "--verify", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "SOURCE and OUTPUT are needed, or --verify FOLDER"),
        (("/no/such/model", "/no/such/out"), 1, "no checkpoint at /no/such/model: there is no such folder"),
        (
            ("/m", "/no/such/out", "--max-input-len", 9, "--max-seq-len", 8),
            2,
            "--max-input-len: must be below max_seq_len",
        ),
        (
            ("/m", "/no/such/out", "--build-arg=--workers"),
            2,
            "--build-arg: --workers is Enginehouse's own; use --workers",
        ),
        (("/m", "/no/such/out", "--interpreter", "/no/py"), 1, "cannot execute the interpreter /no/py: No such file"),
    ],
)
def test_what_cannot_be_is_told(trtllm: BuildEnvironment, words: tuple[object, ...], code: int, message: str) -> None:
    """Wrong usage is 2, what is missing is 1."""
    command = trtllm.command(*words)
    if "--interpreter" in words:
        command = command[: command.index("--interpreter") + 2]
    done = subprocess.run(command, env=trtllm.environ, capture_output=True, text=True, check=False)

    assert (code, True) == (done.returncode, message in done.stderr), done.stderr


def test_without_an_interpreter_the_path_is_searched(trtllm: BuildEnvironment, weights: Path, place: Path) -> None:
    """trtllm-build names its interpreter in its first line."""
    words = [weights, place / "engine", "--examples-folder", trtllm.examples]
    command = [*trtllm.command()[:2], *map(str, words)]
    done = subprocess.run(command, env=trtllm.environ, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
