"""Which lane a request takes: its priority, and whether it is a completion in an editor. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from configs.lanes import AutocompletePolicy, Priority, QueuePolicy
from router.errors import InvalidRequest
from router.fim.marks import fills_in

PRIORITY_HEADER: Final = b"x-enginehouse-priority"

RANKS: Final[Mapping[Priority, int]] = {"interactive": 0, "background": 1, "batch": 2}
"""From first to last."""

ENGINE_PRIORITIES: Final[Mapping[Priority, int]] = {"interactive": 0, "background": 10, "batch": 20}
"""What engines that know priorities are told. To vLLM a lower number is sooner, and 0 is who says nothing."""


@dataclass(slots=True, frozen=True)
class Lane:
    """
    How a request is to be treated among others.

    `is_completion` is one in an editor. `leaves_a_slot` says that completions leave one of a replica's slots to chats.
    `is_line` is a line of a batch.
    """

    priority: Priority = "interactive"
    is_completion: bool = False
    leaves_a_slot: bool = False
    is_line: bool = False

    @property
    def rank(self) -> tuple[int, bool]:
        """Lower goes first: chats go before the completions of their priority."""
        return RANKS[self.priority], self.is_completion


INTERACTIVE: Final = Lane()
LINE: Final = Lane("batch", is_line=True)


def decide_lane(
    route: str,
    body: Mapping[str, object],
    header: bytes | None,
    policies: tuple[QueuePolicy, AutocompletePolicy],
    *,
    is_line: bool,
) -> Lane:
    """
    Args:
        route: the request's path.
        body: its JSON object, as the client wrote it.
        header: its `x-enginehouse-priority`, None where it has none.
        policies: its model's.
        is_line: whether it is a line of a batch.

    Raises:
        InvalidRequest: the header says something else than a priority.
    """
    if is_line:
        return LINE
    queue, autocomplete = policies
    priority = decide_priority(route, header, queue)
    is_completion = route == "/v1/completions" and (autocomplete.all_completions or fills_in(body))
    if not is_completion:
        return INTERACTIVE if priority == "interactive" else Lane(priority)
    return Lane(priority, is_completion=True, leaves_a_slot=not autocomplete.all_completions)


def decide_priority(route: str, header: bytes | None, policy: QueuePolicy) -> Priority:
    """
    The model's for that route, or what the header says where that is further back.

    Raises:
        InvalidRequest: the header says something else than a priority.
    """
    usual = cast("Mapping[str, Priority]", policy.priorities).get(route, policy.priority)
    if header is None:
        return usual
    wish = header.strip().lower().decode("latin-1")
    if wish not in RANKS:
        known = ", ".join(RANKS)
        name = PRIORITY_HEADER.decode()
        raise InvalidRequest(f"The header {name} is {wish[:50]!r}; it can be: {known}.", param=name)
    asked = cast("Priority", wish)
    return asked if RANKS[asked] > RANKS[usual] else usual
