"""Which model is picked for which role, and what is said of it."""

import pytest

from deployments.editors.offered import OfferedModel, offered_model
from deployments.editors.picks import calls_tools, pick

LARGE = 131_072
TOOLS = frozenset({"completion", "tools"})


def test_tools_count_more_than_context() -> None:
    """An agent without tools only talks."""
    talker = OfferedModel("talker", LARGE, capabilities=frozenset({"completion"}))
    agent = OfferedModel("agent", 40_000, capabilities=TOOLS)
    assert agent == pick([talker, agent]).agent


def test_an_alias_is_preferred() -> None:
    """It stays when the model behind it is replaced; editors keep names for long."""
    model, alias = OfferedModel("m-v2", LARGE, root="m-v2"), OfferedModel("chat", LARGE, root="m-v2")
    assert alias == pick([model, alias]).agent


def test_a_name_that_editors_misread_is_avoided() -> None:
    """Continue would offer no completion from it."""
    misread, plain = OfferedModel("olmo-coder", LARGE), OfferedModel("the-coder", LARGE)
    assert plain == pick([misread, plain]).completion


def test_a_model_for_code_is_known_by_its_name_where_nothing_is_said() -> None:
    """Its root's name counts as well; what the router says counts more."""
    assert "typing" == getattr(pick([OfferedModel("typing", 8192, root="qwen2.5-coder")]).completion, "name", None)
    assert pick([OfferedModel("a-coder", 8192, capabilities=TOOLS)]).completion is None


def test_every_task_has_its_role() -> None:
    """Vectors and ranks come from models for them alone."""
    picks = pick([OfferedModel("v", 512, "embed"), OfferedModel("r", 512, "rerank")])
    assert (None, None, "v", "r") == (
        picks.agent, picks.completion, getattr(picks.embedding, "name", None), getattr(picks.reranking, "name", None),
    )  # fmt: skip


def test_a_context_that_is_too_short_is_warned_of() -> None:
    """Agents send 18,000 tokens at first."""
    (warning,) = pick([OfferedModel("m", 2048)]).warnings(["agent"])
    assert warning.startswith("m has a context of 2048 tokens")


def test_a_model_without_tools_is_warned_of() -> None:
    """Where the router says so."""
    (warning,) = pick([OfferedModel("m", LARGE, capabilities=frozenset())]).warnings(["agent"])
    assert "m does not call tools: agents can only talk with it" == warning


def test_a_misread_name_is_warned_of() -> None:
    """Where there is no other."""
    (warning,) = pick([OfferedModel("gpt-x", LARGE)]).warnings(["agent"])
    assert "'gpt-x'" in warning


def test_a_missing_model_is_warned_of() -> None:
    """Once for each role that is asked for."""
    assert 3 == len(list(pick([OfferedModel("m", LARGE)]).warnings(["agent", "completion", "embedding", "reranking"])))


@pytest.mark.parametrize(
    ("said", "can_call"), [(["Tools"], True), ({"tools": True}, True), ({"tools": False}, False), ([], False)]
)
def test_capabilities_as_routers_say_them(said: object, *, can_call: bool) -> None:
    """A list of words, or an object of yes and no."""
    model = offered_model({"id": "m", "max_model_len": 8, "task": "generate", "capabilities": said})
    assert can_call is calls_tools(model)


def test_a_card_of_a_model_that_is_not_ready() -> None:
    """Has neither a context nor a task."""
    assert OfferedModel("m", 0) == offered_model({"id": "m", "max_model_len": None, "task": None})
