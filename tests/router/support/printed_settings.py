"""What `enginehouse editors` knows of a test's router, to set clients up as their users do."""

from door import Door

from deployments.editors.client import Key, Setup
from deployments.editors.offered import OfferedModel

KEY = Key("ENGINEHOUSE_KEY", "k1")


def setup_of(door: Door) -> Setup:
    """The router's one model, with a context for agents."""
    return Setup(f"http://127.0.0.1:{door.port}", [OfferedModel("m", 100_000)], KEY)
