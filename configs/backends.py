"""Settings of a model's backends: how its sessions are shared among them, and how a new one is tried."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from configs.settings import ModelName, Seconds, Settings, error_at

ApplicationName = Annotated[str, Field(min_length=1)]

TENANT_ID_CHARS = 16


def _is_tenant_id(value: str) -> str:
    if len(value) != TENANT_ID_CHARS or not set(value) <= set("0123456789abcdef"):
        # the value is not repeated: it may be the key itself
        raise ValueError("must be an API key's id, of 16 hexadecimal digits: `enginehouse canary tenant` prints it")
    return value


TenantId = Annotated[str, AfterValidator(_is_tenant_id), Field(json_schema_extra={"pattern": "^[0-9a-f]{16}$"})]
"""Who an API key belongs to, without the key: the first 16 hexadecimal digits of its SHA-256."""


class BackendSettings(Settings):
    """One backend of a model: an application, and the adapter of its engine where it is one."""

    application: ApplicationName
    """Name of the Serve application whose replicas serve the model."""

    adapter: ModelName | None = None
    """One of the `lora_adapters` of the application's engine. Default: the engine's own model."""

    weight: Annotated[float, Field(ge=0, le=1_000_000)] = 1.0
    """Its share of the model's sessions, as a part of the sum of all weights. 0 takes none and stands by: it is asked
    when no other backend has a replica that takes the request."""

    tenants: tuple[TenantId, ...] = ()
    """API keys whose requests all go here, whatever the weights; `enginehouse canary tenant` prints a key's id."""

    @property
    def label(self) -> str:
        """What it is called in metrics and by the command line."""
        return label_of(self.application, self.adapter)


def label_of(application: str, adapter: str | None) -> str:
    return application if adapter is None else f"{application}/{adapter}"


class ShadowSettings(Settings):
    """
    A backend that is sent copies of a model's requests. Its answers are compared with those that clients got, and
    thrown away.

    Only generations are copied, and only what an engine is asked for: nothing that the response cache answers.
    """

    application: ApplicationName
    """Name of the Serve application that gets the copies."""

    adapter: ModelName | None = None
    """One of the `lora_adapters` of the application's engine. Default: the engine's own model."""

    ratio: Annotated[float, Field(gt=0, le=1)]
    """Share of the model's requests that is copied, above 0 and up to 1."""

    max_running: Annotated[int, Field(ge=1, le=1000)] = 4
    """Copies under way at once, by way of one router. What would be more is not copied."""

    timeout_s: Seconds = 60.0
    """When a copy is aborted in its engine, in seconds. It then counts as failed."""


class CanaryRule(Settings):
    """
    When a canary is aborted by itself: as soon as it does worse than the model's other backends by so much.

    Both sides are compared over the last 10 minutes and since the canary's start.
    """

    enabled: bool = True
    """Abort by this rule. `enginehouse canary abort` works anyway."""

    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Requests that either side must have answered before anything is concluded."""

    max_error_ratio_increase: Annotated[float, Field(ge=0, le=1)] = 0.05
    """By how much the canary's share of failed requests may exceed that of the others, 0 to 1. What chance may explain,
    for shares of so many requests, does not count."""

    max_ttft_increase_ratio: Annotated[float, Field(ge=0, le=100)] = 0.5
    """By how much the canary's median time to first token may exceed that of the others, as a part of theirs: 0.5 is
    half as long again. What chance may explain, for medians of so many requests, does not count."""

    max_tpot_increase_ratio: Annotated[float, Field(ge=0, le=100)] = 0.5
    """The same of its median time per output token."""

    min_parity_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of copied requests, 0 to 1, whose answers must have been equal in kind: no error, a length within a factor
    of 2, and valid tool calls wherever the client's answer had them."""


def bad_backends(backends: Sequence[BackendSettings]) -> Iterator[PydanticCustomError]:
    """What is wrong with them together, each with its place in the list."""
    seen: set[str] = set()
    owners: dict[str, str] = {}
    for index, backend in enumerate(backends):
        if backend.label in seen:
            yield error_at(("backends", index), f"{backend.label!r} is a backend already")
        seen.add(backend.label)
        for number, tenant in enumerate(backend.tenants):
            if tenant in owners:
                yield error_at(
                    ("backends", index, "tenants", number), f"{tenant!r} is already sent to {owners[tenant]!r}"
                )
            owners[tenant] = backend.label
    if backends and not any(backend.weight for backend in backends):
        yield error_at(("backends",), "have weights of 0 only, so that none would take a request")
