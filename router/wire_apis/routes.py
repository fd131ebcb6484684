"""Every path of an API of its own."""

from collections.abc import Mapping

from router.wire_apis.anthropic.routes import COUNT_TOKENS, Messages
from router.wire_apis.audio.routes import AUDIO_WIRE_ROUTES
from router.wire_apis.infill.routes import Infill
from router.wire_apis.mistral.fim import Fim
from router.wire_apis.ollama.routes import BLOBS, NOTHING, OLLAMA_ROUTES
from router.wire_apis.props import Props
from router.wire_apis.questions import WireRoute
from router.wire_apis.responses.routes import Responses
from router.wire_apis.scoring.score import Score
from router.wire_apis.tgi import Generate
from router.wire_apis.tokens.routes import TOKEN_ROUTES

_INFILL_PATHS = ("/infill", "/v1/infill")
_FIM_PATHS = ("/v1/fim/completions", "/fim/completions")
_SCORE_PATHS = ("/v1/score", "/score")
_ROUTES: tuple[WireRoute, ...] = (
    Messages(), COUNT_TOKENS, Responses(), *map(Infill, _INFILL_PATHS), *map(Fim, _FIM_PATHS),
    *map(Score, _SCORE_PATHS), *TOKEN_ROUTES, *OLLAMA_ROUTES, *AUDIO_WIRE_ROUTES, Props(), Generate(),
)  # fmt: skip
WIRE_ROUTES: Mapping[str, WireRoute] = {route.path: route for route in _ROUTES}


def find_wire_route(path: str) -> WireRoute | None:
    """The route of a path; None where it is no API's of its own."""
    found = WIRE_ROUTES.get(path)
    if found is None and path.startswith(NOTHING.path):
        return BLOBS if path.startswith(BLOBS.path) else NOTHING
    return found
