"""deployments.commands.ranges, as the commands use it: a wrong number is wrong usage."""

import pytest
from click.testing import CliRunner

from deployments.cli import main


@pytest.mark.parametrize("number", ["nan", "inf", "-1"])
@pytest.mark.parametrize(
    "words",
    [
        ("editors", "--timeout"),
        ("serve", "configs/laptop.yaml", "--timeout"),
    ],
)
def test_a_number_that_is_none_is_wrong_usage(words: tuple[str, ...], number: str) -> None:
    """`nan` is neither too small nor too large; nobody waits for it."""
    done = CliRunner().invoke(main, [*words, number])
    assert (2, True) == (done.exit_code, f"'{words[-1]}': {float(number)} is not in the range" in done.output)
