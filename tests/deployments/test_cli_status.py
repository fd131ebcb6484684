"""`enginehouse status`: what it prints of one router."""

from deployments.commands.status import status_lines


def test_names_are_printed() -> None:
    """Of models and of rules."""
    assert ["serves small, auto"] == status_lines({"names": ["small", "auto"], "refused": None})


def test_a_refused_table_is_printed_with_its_reason() -> None:
    """A line for each mistake, under the moment at which it was refused."""
    refused = {"at": 1_800_000_000.5, "reason": "models.a: bad\nmodels.b: worse"}
    assert [
        "serves no model",
        "refused the table of 2027-01-15 08:00:00+00:00, the one before it stays in force:",
        "  models.a: bad",
        "  models.b: worse",
    ] == status_lines({"names": [], "refused": refused})
