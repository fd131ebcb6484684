"""The tokens of a prompt, for clients that make room for it."""

from router.call import Account
from router.fitting.abilities import check_abilities
from router.fitting.chat_roles import fit_roles
from router.fitting.chat_tokens import count_chat_tokens, estimate_chat_tokens
from router.http.asgi import Headers
from router.http.bodies import parse_object
from router.replicas.registry import pick_replica
from router.state import RouterState
from router.wire_apis.anthropic.requests import read_prompt
from router.wire_apis.pieces import Json
from router.wire_apis.translation import chat_call

HOW_HEADER = b"x-enginehouse-token-count"
"""Whether the number is the engine's: `exact`, or `estimate`."""


async def count_tokens(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:
    """
    Raises:
        InvalidRequest: the request has a mistake, which the message names.
        ModelNotFound: there is no such model.
        ModelDoesNotSupport: it generates nothing.
    """
    body, _ = read_prompt(parse_object(raw))
    call = chat_call(body)
    model = state.table.resolve(call.model_name)
    account.labels["model"] = model.name
    replicas = state.directory.of(*model.applications)
    replica = pick_replica(replicas, (), state.loop.time(), state.next_turn())
    if replica is None:
        return {"input_tokens": estimate_chat_tokens(call.body)}, [(HOW_HEADER, b"estimate")]
    account.attempt(model, replica)
    check_abilities(call, model, replica)
    call = fit_roles(call, model, replica)
    count = await count_chat_tokens(call.body, model.adapter or replica.model, replica, state.session)
    if count is None:
        return {"input_tokens": estimate_chat_tokens(call.body)}, [(HOW_HEADER, b"estimate")]
    return {"input_tokens": count}, [(HOW_HEADER, b"exact")]
