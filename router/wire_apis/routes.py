"""Every path of an API of its own."""

from collections.abc import Mapping

from router.wire_apis.anthropic.routes import CountTokens, Messages
from router.wire_apis.infill.routes import Infill
from router.wire_apis.questions import WireRoute
from router.wire_apis.responses.routes import Responses

_ROUTES: tuple[WireRoute, ...] = (Messages(), CountTokens(), Responses(), Infill("/infill"), Infill("/v1/infill"))
WIRE_ROUTES: Mapping[str, WireRoute] = {route.path: route for route in _ROUTES}
