"""Every path of an API of its own."""

from collections.abc import Mapping

from router.wire_apis.anthropic.routes import CountTokens, Messages
from router.wire_apis.ollama.routes import BLOBS, OLLAMA_ROUTES
from router.wire_apis.questions import WireRoute
from router.wire_apis.responses.routes import Responses

_ROUTES: tuple[WireRoute, ...] = (Messages(), CountTokens(), Responses(), *OLLAMA_ROUTES)
WIRE_ROUTES: Mapping[str, WireRoute] = {route.path: route for route in _ROUTES}


def find_wire_route(path: str) -> WireRoute | None:
    """The route of a path; None where it is no API's of its own."""
    return WIRE_ROUTES.get(path) or (BLOBS if path.startswith(BLOBS.path) else None)
