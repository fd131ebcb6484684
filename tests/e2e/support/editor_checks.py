"""`enginehouse editors --check` on a house, client by client."""

from house import House

from deployments.editors.asking import Router, without_version
from deployments.editors.checking import Outcome, check
from deployments.editors.client import Setup
from deployments.editors.registry import CLIENTS

_TIMEOUT_S = 100.0


def outcomes(house: House, client: str) -> dict[str, tuple[Outcome, str]]:
    """What became of each of the client's first requests, by its title."""
    router = Router(without_version(house.base_url), _TIMEOUT_S)
    setup = Setup(router.origin, router.models({}))
    return {one.title: (one.outcome, one.reason) for one in check(CLIENTS[client], setup, router.ask)}


def faults(house: House, client: str) -> dict[str, str]:
    """What the client would fail at."""
    found = outcomes(house, client)
    return {title: reason for title, (outcome, reason) in found.items() if outcome is Outcome.FAULTY}
