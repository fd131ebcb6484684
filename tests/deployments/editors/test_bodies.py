"""Bodies have the size that they have on the wire."""

import pytest

from deployments.editors.bodies import fitted, functions, prose, size_of
from deployments.editors.client import Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.registry import CLIENTS
from deployments.editors.step import Step

LARGE = Setup("http://h", [OfferedModel("a-coder", 131_072)])


@pytest.mark.parametrize(
    ("client", "num_bytes", "num_tools"),
    [
        ("copilot", 71_600, 40),
        ("claude-code", 76_000, 24),
        ("cline", 21_800, 25),
        ("kilo", 57_600, 21),
        ("roo", 38_600, 13),
        ("codex", 39_600, 10),
    ],
)
def test_the_first_request_is_as_large_as_the_clients(client: str, num_bytes: int, num_tools: int) -> None:
    """With as many tools."""
    steps = [step for step in CLIENTS[client].first_requests(LARGE) if isinstance(step, Step) and step.body]
    largest = max((step.body or {} for step in steps), key=size_of)
    assert (num_bytes, num_tools) == (size_of(largest), len(largest["tools"]))


def test_names_of_tools_differ() -> None:
    """Engines refuse two of one name."""
    assert 40 == len({tool["function"]["name"] for tool in functions(40, 500)})


def test_strict_tools_name_every_field() -> None:
    """As OpenAI demands of them."""
    [tool] = functions(1, 500, is_strict=True)
    parameters = tool["function"]["parameters"]
    assert (True, sorted(parameters["properties"])) == (tool["function"]["strict"], sorted(parameters["required"]))


def test_prose_is_the_same_every_time() -> None:
    """So that two checks of a cluster are comparable."""
    assert (prose(5000), 5000) == (prose(5000), len(prose(5000)))


def test_a_body_that_is_too_large_to_be_fitted() -> None:
    """Is a mistake in this repository."""
    with pytest.raises(ValueError, match="too many"):
        fitted(lambda text: {"text": text, "more": "x" * 100}, 50)
