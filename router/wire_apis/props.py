"""`GET /props`, by which clients of llama.cpp's server learn how long a prompt may be."""

from typing import Final
from urllib.parse import parse_qs

from router.call import Account
from router.errors import ModelNotFound
from router.fim.filling import first_that_fills_in
from router.http.asgi import Headers, Receive, Scope, Send
from router.models.capabilities import ability_of
from router.models.table import Model
from router.replicas.statement import Ability
from router.state import RouterState
from router.wire_apis.error_words import OpenAiErrors
from router.wire_apis.pieces import Json
from router.wire_apis.questions import answer_question
from router.wire_apis.translation import ErrorWords

_SENSES: Final[tuple[Ability, ...]] = ("vision", "audio")


class Props:
    """`?model=` names the model; else it is the one that fills in at `/infill`, or the first."""

    path = "/props"
    summary = "What llama.cpp's clients ask of a model: its context and its slots"
    methods: tuple[str, ...] = ("GET",)
    needs_key = True
    errors: ErrorWords = OpenAiErrors({})
    id_header: bytes | None = None

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        named = parse_qs(scope["query_string"].decode("latin-1")).get("model", [""])[-1]

        async def reply(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:  # noqa: ARG001
            model = _model(named, state)
            account.labels["model"] = model.name
            return props_of(state, model, named or model.name), []

        await answer_question(self, reply, state, scope, receive, send)


def props_of(state: RouterState, model: Model, name: str) -> Json:
    """`name` is what the client calls the model. What is not known is left out."""
    ready = state.directory.of(*model.applications)
    known = state.directory.last_of(*model.applications)
    contexts = [replica.max_model_len for replica in known if replica.max_model_len]
    slots = [replica.max_num_seqs for replica in ready]
    said = {sense: {ability_of(model, replica, sense) for replica in known} for sense in _SENSES}
    senses = {sense: answers == {True} for sense, answers in said.items() if answers and None not in answers}
    return {
        "default_generation_settings": {"n_ctx": min(contexts)} if contexts else {},
        **({"total_slots": sum(filter(None, slots))} if slots and None not in slots else {}),
        "model_alias": name,
        "model_path": model.name,
        **({"modalities": senses} if senses else {}),
    }


def _model(named: str, state: RouterState) -> Model:
    """
    Raises:
        ModelNotFound: there is none of that name, or none at all.
    """
    table = state.table
    auto = table.find_auto(named)
    if auto is not None:
        return table.models_of(auto)[0]
    name = named or first_that_fills_in(None, table, state.directory) or next((one.name for one in table.models), None)
    if name is None:
        raise ModelNotFound("There is no model here.", param="model")
    return table.resolve(name)
