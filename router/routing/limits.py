"""A request within what its model takes. Pure."""

from dataclasses import replace

from router.bodies import encode_object
from router.call import Call
from router.model_table import Model
from router.routing.facts import estimate_prompt_tokens
from router.token_limits import LIMIT_FIELDS, prompt_too_long

_OWN_LIMIT_FIELDS = (*LIMIT_FIELDS, "n_predict")
"""llama.cpp has a name of its own, which goes before the others."""


def fit_call(call: Call, model: Model) -> Call:
    """
    The call within the model's limits: as it is, or with its limit of completion tokens lowered.

    Raises:
        ContextLengthExceeded: its prompt is too long, by the estimate.
    """
    limits = model.limits
    if limits.max_prompt_tokens is not None:
        num_tokens = estimate_prompt_tokens(call.body, call.route.prompt_field, len(call.raw))
        if num_tokens > limits.max_prompt_tokens:
            raise prompt_too_long(f"about {num_tokens}", limits.max_prompt_tokens, call.route.prompt_field)
    if limits.max_completion_tokens is None or call.route.task != "generate":
        return call
    capped = cap_completion(call.body, limits.max_completion_tokens)
    return call if capped is call.body else replace(call, body=capped, raw=encode_object(capped))


def cap_completion(body: dict[str, object], max_tokens: int) -> dict[str, object]:
    """The same object where it asks for no more than that."""
    changes: dict[str, object] = {}
    given = [name for name in _OWN_LIMIT_FIELDS if body.get(name) is not None]
    for name in given:
        value = body[name]
        if not isinstance(value, int) or not 0 <= value <= max_tokens:  # llama.cpp: below 0 is without end
            changes[name] = max_tokens
    if not given:
        changes["max_tokens"] = max_tokens
    return {**body, **changes} if changes else body
