"""`deploy/systemd/enginehouse.service`, held against systemd's own check, the commands' options and the defaults."""

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from systemd_unit import UNIT, Unit

from configs.router import RouterArgs
from deployments.cli import main
from deployments.commands.serve import serve

ANALYZE = shutil.which("systemd-analyze")


@pytest.fixture(scope="module")
def unit() -> Unit:
    return Unit.read()


def test_its_enginehouse_commands_exist(unit: Unit) -> None:
    """Each subcommand is there, and understands its options."""
    commands = [*unit.commands("ExecStart"), *unit.commands("ExecReload")]
    commands = [words for words in commands if words[0].endswith("/enginehouse")]
    assert ["serve", "check"] == [words[1] for words in commands]
    for words in commands:
        command = main.get_command(click.Context(main), words[1])
        assert command is not None
        command.make_context(words[1], words[2:])


def test_a_start_has_the_time_that_the_command_gives_it(unit: Unit) -> None:
    """The command gives up first, and says why, before systemd does."""
    timeout_s = next(option.default for option in serve.params if option.name == "timeout_s")
    assert isinstance(timeout_s, float)
    assert timeout_s < float(unit.service("TimeoutStartSec"))


def test_a_stop_has_the_time_that_routers_have(unit: Unit) -> None:
    """Only the command hears of it, and has longer than the last requests by default."""
    assert "mixed" == unit.service("KillMode")
    assert RouterArgs.model_fields["drain_timeout_s"].default < float(unit.service("TimeoutStopSec"))


@pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze here")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """
    `systemd-analyze verify` finds nothing, but that Enginehouse is elsewhere. It looks at what the unit needs as well:
    what is wrong with the machine's own units is none of ours.
    """
    copy = tmp_path / UNIT.name
    here = UNIT.read_text(encoding="utf-8").replace("/opt/enginehouse/.venv/bin", str(Path(sys.executable).parent))
    copy.write_text(here, encoding="utf-8")
    done = subprocess.run([str(ANALYZE), "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    assert [] == complaints
