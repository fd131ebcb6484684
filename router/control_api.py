"""The routes that are not on the path of a token, in FastAPI: models, health, the OpenAPI document."""

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from router.batches.api import BatchApi
from router.call import ROUTES
from router.errors import InvalidRequest, MethodNotAllowed, ModelNotFound, RouteNotFound, ServingError
from router.http.error_bodies import error_body, error_headers
from router.models.cards import auto_card, describe_table, model_cards
from router.openapi.document import described
from router.state import RouterState
from router.wire_apis.routes import WIRE_ROUTES

MODELS_PATH = "/v1/models"
BARE_MODELS_PATH = "/models"
"""Where clients ask whose address was given without its version, as llama.cpp answers them."""
HEALTH_PATH = "/health"
PROXY_HEALTH_PATH = "/-/healthz"
"""Where a proxy of Ray Serve says how it is. A router stands in its place, so it says the same to who asks there:
KubeRay sends clients to the pods that answer `success`. Source: KubeRay 1.6, `ray-operator/controllers/ray`."""
ROOT_PATH = "/"
"""Claude Code asks for its head before anything else, to know whether somebody is there."""
ANONYMOUS_PATHS = frozenset(
    [ROOT_PATH, HEALTH_PATH, PROXY_HEALTH_PATH, "/openapi.json"]
    + [route.path for route in WIRE_ROUTES.values() if not route.needs_key]
)
"""Paths that need no key: probes have none."""


class _DocumentedApi(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = described(super().openapi(), ANONYMOUS_PATHS)
        return self.openapi_schema


def create_control_api(state: RouterState, created_at: int) -> FastAPI:
    """`created_at` is the Unix time that models claim to be created at: clients want one, engines have none."""
    api = _DocumentedApi(
        title="Enginehouse",
        docs_url=None,  # FastAPI's pages load their scripts from the internet
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,  # `router.http.paths` has seen to them
    )
    api.add_exception_handler(ServingError, _answer_serving_error)
    api.add_exception_handler(HTTPException, _answer_http_exception)
    api.add_exception_handler(Exception, _answer_unexpected)

    @api.get(BARE_MODELS_PATH, include_in_schema=False)
    @api.get(MODELS_PATH, summary="The models that can be asked for, aliases included")
    async def list_models() -> Response:
        table = state.table
        cards = [card for model in table.models for card in model_cards(state, model, created_at)]
        cards += [auto_card(state, auto, table.models_of(auto), created_at) for auto in table.autos]
        return _json({"object": "list", "data": cards, "table": describe_table(state)})

    @api.get(MODELS_PATH + "/{name:path}", summary="One model")
    async def show_model(name: str) -> Response:
        table = state.table
        auto = table.find_auto(name)
        if auto is not None:
            return _json(auto_card(state, auto, table.models_of(auto), created_at))
        return _json(next(card for card in model_cards(state, table.resolve(name), created_at) if card["id"] == name))

    @api.head(HEALTH_PATH, summary="Whether this router answers")
    @api.get(HEALTH_PATH, summary="Whether this router answers, and how many replicas each model has")
    async def health() -> Response:
        replicas = {model.name: state.directory.of(*model.applications) for model in state.table.models}
        doubted = {name: sum(one.doubt is not None for one in those) for name, those in replicas.items()}
        return _json(
            {
                "status": "draining" if state.is_draining else "ok",
                "ready_replicas": {name: len(those) for name, those in replicas.items()},
                "doubted_replicas": {name: number for name, number in doubted.items() if number},
            }
        )

    @api.head(ROOT_PATH, summary="Whether somebody is there")
    @api.get(ROOT_PATH, summary="Whether somebody is there")
    async def root() -> Response:
        return Response(b"Enginehouse is running", media_type="text/plain")

    @api.get(PROXY_HEALTH_PATH, include_in_schema=False)
    async def proxy_health() -> Response:
        if state.is_draining:
            return Response(b"draining", 503, media_type="text/plain")
        return Response(b"success", media_type="text/plain")

    BatchApi(state).add_to(api)
    _describe_generations(api)
    return api


def _json(document: object) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")


async def _answer_serving_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)  # noqa: S101 - registered for it
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    return Response(error_body(error), error.status, headers, media_type="application/json")


async def _answer_unexpected(request: Request, _error: Exception) -> Response:
    """Starlette raises the error again once this is sent, so that it is logged."""
    return await _answer_serving_error(request, ServingError("The router failed on this request; its log says why."))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    path = request.url.path
    if error.status_code == 404:
        return await _answer_serving_error(request, RouteNotFound(f"There is nothing at {path[:200]}."))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        response = await _answer_serving_error(request, method_not_allowed(request.method, path, allowed))
        response.headers["allow"] = allowed
        return response
    return await _answer_serving_error(request, InvalidRequest(str(error.detail)))


def method_not_allowed(method: str, path: str, allowed: str) -> MethodNotAllowed:
    return MethodNotAllowed(f"{method} is not possible at {path[:200]}; use {allowed}.")


def _describe_generations(api: FastAPI) -> None:
    """Name the generation routes in the OpenAPI document; they are answered before FastAPI is asked."""

    async def never_called() -> None:
        raise ModelNotFound("The request path answers this route.")

    described = [(route.path, route.summary, "POST") for route in ROUTES.values()]
    described += [(route.path, route.summary, route.methods[0]) for route in WIRE_ROUTES.values()]
    for path, summary, method in described:
        api.api_route(path, methods=[method], summary=summary, name=f"ask at {path}")(never_called)
