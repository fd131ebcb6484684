"""`/tokenize`, `/detokenize` and `/apply-template`, answered by an engine of the model."""

from collections.abc import Mapping

from router.call import Account
from router.errors import EngineFailed, EngineUnavailable, InvalidRequest, ModelDoesNotSupport
from router.fim.filling import first_to_fill_in_now
from router.fitting.chat_roles import adapt, refusals_of
from router.fitting.profiles import PROFILES
from router.http.asgi import Headers
from router.models.cards import max_model_len_of
from router.models.table import Model
from router.replicas.questions import demand_of_replica
from router.replicas.registry import Replica, pick_replica
from router.state import RouterState
from router.wire_apis.error_words import OpenAiErrors
from router.wire_apis.pieces import Json
from router.wire_apis.questions import QuestionRoute, WireRoute
from router.wire_apis.tokens.requests import TextOrChat, read_chat, read_detokenize, read_tokenize


async def _apply_template(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:
    asked = read_chat(raw)
    model, replica = _choose(asked.model, state, account)
    chat = {**asked.body, "messages": adapt(asked.body["messages"], refusals_of(model, replica))}
    if PROFILES[replica.profile].applies_template is not None:
        answer = await demand_of_replica(replica, "/apply-template", chat, state.session)
    else:
        name = model.adapter or replica.model
        tokens = (await demand_of_replica(replica, "/tokenize", {"model": name, **chat}, state.session)).get("tokens")
        question = {"model": name, "tokens": tokens}
        answer = await demand_of_replica(replica, "/detokenize", question, state.session) if tokens else {}
    prompt = answer.get("prompt")
    if not isinstance(prompt, str):
        raise EngineFailed("The engine made no prompt of this.")
    return {"prompt": prompt}, []


async def _tokenize(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:
    asked = read_tokenize(raw)
    model, replica = _choose(asked.model, state, account)
    if asked.chat is not None:
        asked.chat["messages"] = adapt(asked.chat["messages"], refusals_of(model, replica))
    name = model.adapter or replica.model
    answer = await _asked_of(replica, name, asked, state)
    tokens = answer.get("tokens")
    if not isinstance(tokens, list):
        raise EngineFailed("The engine did not tokenise this.")
    said: Json = {"count": len(tokens), "max_model_len": max_model_len_of(state, model), "tokens": tokens}
    if asked.wants_pieces:
        said["token_strs"] = answer.get("token_strs")
    return said, []


async def _asked_of(replica: Replica, name: str, asked: TextOrChat, state: RouterState) -> Mapping[str, object]:
    if PROFILES[replica.profile].counts_tokens is not None:
        own = asked.chat or {"prompt": asked.text, "add_special_tokens": asked.has_specials}
        question = {"model": name, **own, "return_token_strs": asked.wants_pieces}
        return await demand_of_replica(replica, "/tokenize", question, state.session)
    text, has_specials = asked.text, asked.has_specials
    if asked.chat is not None:
        prompt = (await demand_of_replica(replica, "/apply-template", asked.chat, state.session)).get("prompt")
        if not isinstance(prompt, str):
            return {}
        text, has_specials = prompt, True
    question = {"content": text, "add_special": has_specials, "parse_special": True, "with_pieces": asked.wants_pieces}
    answer = await demand_of_replica(replica, "/tokenize", question, state.session)
    return _without_pieces(answer) if asked.wants_pieces else answer


def _without_pieces(answer: Mapping[str, object]) -> dict[str, object]:
    """llama.cpp's tokens with their texts, as vLLM has them. A part of a letter is no text."""
    tokens = answer.get("tokens")
    pairs = [one for one in tokens if isinstance(one, dict)] if isinstance(tokens, list) else []
    texts = [one["piece"] if isinstance(one.get("piece"), str) else "\ufffd" for one in pairs]
    return {"tokens": [one.get("id") for one in pairs], "token_strs": texts}


async def _detokenize(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:
    named, tokens = read_detokenize(raw)
    model, replica = _choose(named, state, account)
    question = {"model": model.adapter or replica.model, "tokens": tokens}
    answer = await demand_of_replica(replica, "/detokenize", question, state.session)
    text = answer.get("prompt", answer.get("content"))
    if not isinstance(text, str):
        raise EngineFailed("The engine made no text of these tokens.")
    return {"prompt": text, "content": text}, []


def _choose(named: str | None, state: RouterState, account: Account) -> tuple[Model, Replica]:
    """
    The model that is named, or the one that fills in, or the first, and one of its replicas that tokenises.

    Raises:
        ModelNotFound: there is none of that name.
        ModelDoesNotSupport: its engine has no route for that.
        EngineUnavailable: it has no replica now.
    """
    table = state.table
    name = named or first_to_fill_in_now(table, state.directory) or next((one.name for one in table.models), None)
    if name is None:
        raise InvalidRequest("`model` is missing.", param="model")
    model = table.resolve(name)
    account.labels["model"] = model.name
    replicas = state.directory.of(*model.applications)
    able = [one for one in replicas if PROFILES[one.profile].tokenises]
    if replicas and not able:
        raise ModelDoesNotSupport(f"The engine of the model {model.name!r} tells no tokens.", param="model")
    replica = pick_replica(able, (), state.loop.time(), state.next_turn())
    if replica is None:
        raise EngineUnavailable(f"No replica of the model {model.name!r} is ready.", retry_after_s=5)
    account.attempt(model, replica)
    return model, replica


_ERRORS = OpenAiErrors({})
TOKEN_ROUTES: tuple[WireRoute, ...] = (
    QuestionRoute("/tokenize", "The tokens of a text or a chat", _tokenize, _ERRORS),
    QuestionRoute("/detokenize", "The text of tokens", _detokenize, _ERRORS),
    QuestionRoute("/apply-template", "The prompt that a chat becomes", _apply_template, _ERRORS),
)
"""The last is llama.cpp's."""
