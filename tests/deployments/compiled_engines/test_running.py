"""One step's process: what is told while it runs, and what is left in its log."""

import os
import sys
from pathlib import Path

import pytest

from deployments.compiled_engines import running
from deployments.compiled_engines.errors import StepFailedError
from deployments.compiled_engines.plan import Step
from deployments.compiled_engines.running import Progress, last_lines, run_step

SAYS_HALF = "import pathlib, sys, time\nprint('half')\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"


@pytest.fixture
def lock(tmp_path: Path) -> int:
    return os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)


def test_the_tools_last_line_is_told_where_no_terminal_is(
    tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines for a log, each with the step, the time and what the tool said last."""
    monkeypatch.setattr(running, "TOLD_EVERY_S", 0.0)
    told: list[str] = []

    def write(line: str) -> None:
        told.append(line)
        if line.endswith(" s: half\n"):
            (tmp_path / "seen").touch()

    step = Step("converted", (sys.executable, "-c", SAYS_HALF, str(tmp_path / "seen")), ())
    run_step(step, tmp_path, tmp_path / "log", Progress("step 1 of 2, converted", write), lock)

    assert "step 1 of 2, converted: begins\n" == told[0]
    assert any(line.startswith("step 1 of 2, converted: ") and line.endswith(" s: half\n") for line in told)
    assert "half" == (tmp_path / "log").read_text().splitlines()[-1]


def test_a_tool_that_cannot_be_executed_is_told(tmp_path: Path, lock: int) -> None:
    """By its path."""
    with pytest.raises(StepFailedError, match="cannot execute /no/such/tool: No such file"):
        run_step(Step("engine", ("/no/such/tool",), ()), tmp_path, tmp_path / "log", Progress("step"), lock)


def test_a_tool_that_a_signal_ended_is_told(tmp_path: Path, lock: int) -> None:
    """As the system does when memory runs out."""
    step = Step("engine", ("/bin/sh", "-c", "kill -9 $$"), ())
    with pytest.raises(StepFailedError, match="engine: sh ended with signal 9"):
        run_step(step, tmp_path, tmp_path / "log", Progress("step"), lock)


def test_a_line_that_was_rewritten_counts_as_it_stood_last(tmp_path: Path) -> None:
    """Progress bars of the tools end in carriage returns."""
    (tmp_path / "log").write_bytes(b"one\n\n10 %\r20 %\r30 %\r")

    assert ["one", "30 %"] == last_lines(tmp_path / "log", 2)
