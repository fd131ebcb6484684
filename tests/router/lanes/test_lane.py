"""router.lanes.lane: which lane a request takes."""

from typing import get_args

import pytest

from configs.lanes import AutocompletePolicy, GenerationRoute, Priority, QueuePolicy
from router.call import ROUTES
from router.errors import InvalidRequest
from router.lanes.lane import ENGINE_PRIORITIES, RANKS, Lane, decide_lane, decide_priority

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
FOR_EDITORS = AutocompletePolicy(all_completions=True)


def lane(
    route: str,
    body: dict[str, object] | None = None,
    header: bytes | None = None,
    queue: QueuePolicy | None = None,
    autocomplete: AutocompletePolicy | None = None,
) -> Lane:
    policies = (queue or QueuePolicy(), autocomplete or AutocompletePolicy())
    return decide_lane(route, body or {}, header, policies, is_line=False)


def test_the_routes_of_the_settings_are_those_that_engines_answer() -> None:
    """Each may have a priority of its own."""
    assert list(ROUTES) == list(get_args(GenerationRoute))


def test_every_priority_has_a_rank_and_a_number_for_engines() -> None:
    """Both grow from who goes first to who goes last, and who goes first is told as who says nothing is."""
    names = list(get_args(Priority))
    assert names == sorted(RANKS, key=lambda name: RANKS[name])
    assert names == sorted(ENGINE_PRIORITIES, key=lambda name: ENGINE_PRIORITIES[name])
    assert 0 == ENGINE_PRIORITIES["interactive"]


@pytest.mark.parametrize(
    ("header", "policy", "expected"),
    [
        (None, {}, "interactive"),
        (b"interactive", {}, "interactive"),
        (b" Background ", {}, "background"),
        (b"batch", {}, "batch"),
        (b"interactive", {"priority": "background"}, "background"),
        (b"batch", {"priority": "background"}, "batch"),
        (None, {"priorities": {CHAT: "batch"}}, "batch"),
        (None, {"priorities": {COMPLETIONS: "batch"}}, "interactive"),
        (None, {"priority": "batch", "priorities": {CHAT: "interactive"}}, "interactive"),
    ],
)
def test_the_priority(header: bytes | None, policy: dict[str, object], expected: str) -> None:
    """The route's, else the model's; a request may only put itself further back."""
    assert expected == decide_priority(CHAT, header, QueuePolicy.model_validate(policy))


def test_another_priority_is_refused() -> None:
    """With the header's name, and what it can be."""
    with pytest.raises(InvalidRequest, match="interactive, background, batch") as caught:
        decide_priority(CHAT, b"urgent", QueuePolicy())
    assert "x-enginehouse-priority" == caught.value.param


@pytest.mark.parametrize(
    ("route", "body", "policy", "expected"),
    [
        (COMPLETIONS, {"suffix": "\n"}, None, Lane(is_completion=True, leaves_a_slot=True)),
        (COMPLETIONS, {"suffix": ""}, None, Lane(is_completion=True, leaves_a_slot=True)),
        (COMPLETIONS, {"suffix": None}, None, Lane()),
        (COMPLETIONS, {}, None, Lane()),
        (COMPLETIONS, {}, FOR_EDITORS, Lane(is_completion=True)),
        (CHAT, {"suffix": "\n"}, FOR_EDITORS, Lane()),
    ],
)
def test_completions_in_editors(
    route: str, body: dict[str, object], policy: AutocompletePolicy | None, expected: Lane
) -> None:
    """Those with a suffix, or all of a model that is for nothing else."""
    assert expected == lane(route, body, autocomplete=policy)


def test_a_line_of_a_batch_is_one_whatever_it_says() -> None:
    """Neither a completion that may be late, nor anything else than `batch`."""
    policies = (QueuePolicy(), FOR_EDITORS)
    line = decide_lane(COMPLETIONS, {"suffix": "x"}, b"interactive", policies, is_line=True)
    assert Lane("batch", is_line=True) == line


def test_chats_go_before_completions_of_the_same_priority() -> None:
    """And both before what is further back."""
    lanes = [lane(CHAT), lane(COMPLETIONS, {"suffix": ""}), lane(CHAT, header=b"background")]
    assert lanes == sorted(lanes, key=lambda one: one.rank)
