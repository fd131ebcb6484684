"""A request within what its model takes. Pure."""

from dataclasses import replace

from router.call import Call
from router.fitting.profiles import Profile
from router.fitting.token_limits import LIMIT_FIELDS, prompt_too_long
from router.http.bodies import encode_object
from router.models.table import Model
from router.routing.facts import estimate_prompt_tokens

_OWN_LIMIT_FIELDS = (*LIMIT_FIELDS, "n_predict")
"""llama.cpp has a name of its own, which goes before the others."""


def fit_call(call: Call, model: Model) -> Call:
    """
    The call within the model's limits: as it is, or with its limit of completion tokens lowered, or set for a chat.

    Raises:
        ContextLengthExceeded: its prompt is too long, by the estimate.
    """
    limits = model.limits
    if limits.max_prompt_tokens is not None and call.route.task != "transcribe":  # sound has other tokens
        num_tokens = estimate_prompt_tokens(call.body, call.route.prompt_field, len(call.raw))
        if num_tokens > limits.max_prompt_tokens:
            raise prompt_too_long(f"about {num_tokens}", limits.max_prompt_tokens, call.route.prompt_field)
    if limits.max_completion_tokens is None or call.route.task != "generate":
        return call
    return _capped(call, limits.max_completion_tokens, sets_unsaid=call.route.is_chat)


def fit_unsaid(call: Call, model: Model, profile: Profile) -> Call:
    """The call for one engine: a text completion that names no limit gets the model's, where the engine's is higher."""
    max_tokens, unsaid = model.limits.max_completion_tokens, profile.default_max_tokens
    if max_tokens is None or call.route.prompt_field != "prompt" or (unsaid is not None and unsaid <= max_tokens):
        return call
    return _capped(call, max_tokens, sets_unsaid=True)


def _capped(call: Call, max_tokens: int, *, sets_unsaid: bool) -> Call:
    """The same call where it asks for no more than that."""
    changes: dict[str, object] = {}
    given = [name for name in _OWN_LIMIT_FIELDS if call.body.get(name) is not None]
    for name in given:
        value = call.body[name]
        if not isinstance(value, int) or not 0 <= value <= max_tokens:  # llama.cpp: below 0 is without end
            changes[name] = max_tokens
    if not given and sets_unsaid:
        changes["max_tokens"] = max_tokens
    if not changes:
        return call
    body = {**call.body, **changes}
    return replace(call, body=body, raw=encode_object(body))
