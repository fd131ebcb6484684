"""What makes one answer differ from another. Pure."""

from collections.abc import Mapping

from router.call import Call
from router.models.table import Model

_WITHOUT_EFFECT = frozenset(
    {
        "model",  # the replica's fingerprint and the adapter say more
        "stream", "stream_options",  # the same answer in another form
        "user", "metadata", "store", "service_tier", "safety_identifier",
        "prompt_cache_key", "prompt_cache_retention", "priority", "request_id",
    }
)  # fmt: skip
"""Fields that no answer depends on."""

_DEFAULTS: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "logprobs": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "stop": ([],),
    "tools": ([],),
    "encoding_format": ("float",),
}
"""Values that say what every engine does unasked. A `temperature` or `top_p` is not among them: vLLM takes its own
defaults of these from the checkpoint."""


def is_deterministic(call: Call) -> bool:
    """Whether an engine that is asked again would say the same: greedily, or with a seed; vectors and ranks always."""
    if call.route.task != "generate":
        return True
    temperature = call.body.get("temperature")
    return (isinstance(temperature, int | float) and temperature == 0) or call.body.get("seed") is not None


def identity_of(call: Call, model: Model, fingerprint: str, tenant: str, namespace: str) -> dict[str, object]:
    """
    All that an answer depends on, as JSON.

    Args:
        call: the request, before anything is done to it for one replica.
        model: what it is asked of.
        fingerprint: of the engine: its build, weights and settings.
        tenant: whose answers these are; empty where they are everybody's.
        namespace: the client's own part of the cache.
    """
    return {
        "route": call.route.path,
        "engine": fingerprint,
        "adapter": model.adapter or "",
        "tenant": tenant,
        "namespace": namespace,
        "body": _canonical(call.body),
        "extra": [[one.name, one.text] for one in call.extra],  # in the body's prompt only once its marks are known
        **_changed_for_replica(call, model),
    }


def _changed_for_replica(call: Call, model: Model) -> dict[str, object]:
    """
    What the model's settings will change in it. Nothing where they leave that to the engine: its fingerprint tells.

    Source: `router.fitting.fit`, which does it.
    """
    said: dict[str, object]
    if call.route.is_chat:
        roles, tools = model.roles.refuses, model.capabilities.tools
        said = {"roles": None if roles is None else sorted(roles), "tools": tools if call.body.get("tools") else None}
    else:
        said = {"limit": model.limits.max_completion_tokens if call.route.prompt_field == "prompt" else None}
    return {name: value for name, value in said.items() if value is not None}


def _canonical(body: Mapping[str, object]) -> dict[str, object]:
    """The body without what has no effect. Null is what is not there."""
    fields = {
        name: value
        for name, value in body.items()
        if value is not None and name not in _WITHOUT_EFFECT and not _is_default(name, value)
    }
    if "max_completion_tokens" in fields and "max_tokens" not in fields:
        fields["max_tokens"] = fields.pop("max_completion_tokens")
    return fields


def _is_default(name: str, value: object) -> bool:
    # 1 == True and 0 == False in Python, and `logprobs: 0` of a text completion asks for something.
    return any(
        value == default and isinstance(value, bool) == isinstance(default, bool) for default in _DEFAULTS.get(name, ())
    )
