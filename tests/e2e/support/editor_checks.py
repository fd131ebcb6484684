"""`enginehouse editors --check` on a house, client by client."""

from house import House

from deployments.editors.asking import Router, without_version
from deployments.editors.checking import Outcome, check
from deployments.editors.client import Key, Setup
from deployments.editors.registry import CLIENTS

_TIMEOUT_S = 100.0


def outcomes(house: House, client: str, key: str | None = None) -> dict[str, tuple[Outcome, str]]:
    """What became of each of the client's first requests, by its title. `key` is for a house that asks for one."""
    router = Router(without_version(house.base_url), _TIMEOUT_S)
    held = None if key is None else Key("ENGINEHOUSE_API_KEY", key)
    listed = router.models({} if held is None else {"authorization": f"Bearer {held.text}"})
    setup = Setup(router.origin, listed, held)
    return {one.title: (one.outcome, one.reason) for one in check(CLIENTS[client], setup, router.ask)}


def faults(house: House, client: str, key: str | None = None) -> dict[str, str]:
    """What the client would fail at."""
    found = outcomes(house, client, key)
    return {title: reason for title, (outcome, reason) in found.items() if outcome is Outcome.FAULTY}
