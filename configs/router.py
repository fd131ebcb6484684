"""Settings of the router's application: `args` restart it, `user_config` is taken over in place."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from configs.backends import ApplicationName, BackendSettings, CanaryRule, ShadowSettings, bad_backends
from configs.batches import BatchSettings
from configs.cache import CachePolicy, CacheSettings
from configs.capabilities import CapabilitySettings
from configs.fim import FimPolicy
from configs.finding import KeyPath, did_you_mean
from configs.lanes import AutocompletePolicy, QueuePolicy
from configs.limits import ModelLimits
from configs.reliability import ReliabilityPolicy
from configs.roles import RolePolicy
from configs.routing import AutoRoute
from configs.settings import EnvironmentName, ModelName, Port, Seconds, Settings, error_at
from configs.wake import WakePolicy

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]+")
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})

ReplicaChoice: TypeAlias = Literal["prefix", "least_busy"]


class ApiKeySettings(Settings):
    """
    Which API keys are accepted, as `Authorization: Bearer KEY`, `x-api-key: KEY`, `api-key: KEY`, or in the path, as
    `/k/KEY/v1/models`. An empty header counts as none.
    """

    env: EnvironmentName | None = None
    """Environment variable that holds the accepted keys, separated by commas or whitespace."""

    file: str | None = None
    """Path of a file that holds the accepted keys, one a line; blank lines and lines that begin with # do not count."""

    in_path: bool = True
    """Accept a key in the path, for clients that can be given an address only. The router's own logs never have it; a
    proxy before it, HAProxy mode included, may log whole paths."""

    allow_anonymous: bool = False
    """Serve requests without a key, too, although there are keys: all of them are one tenant, with the id
    `e3b0c44298fc1c14`, so that limits, rules and weights can be set for it. A wrong key is refused all the same."""

    dummy_keys: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ("dummy",)
    """Keys that count as none: what clients send by themselves where their user has set no key."""

    allow_anonymous_on_public_address: bool = False
    """Serve everybody who can reach a public address, without any key. Only for a network that you trust."""

    @property
    def admits_everybody(self) -> bool:
        """Without having said that it is meant for others, too."""
        has_keys = self.env is not None or self.file is not None
        return (self.allow_anonymous or not has_keys) and not self.allow_anonymous_on_public_address


class ListenerSettings(Settings):
    """The router's own listener: one public port on every node, shared by the router replicas there."""

    host: str = "127.0.0.1"
    """Address to listen on. `0.0.0.0` is every IPv4 address of the node; without API keys only loopback is allowed."""

    port: Port = 8000
    """TCP port."""

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Open client connections of one router replica; more are answered 503."""

    max_header_bytes: Annotated[int, Field(ge=1024, le=1_048_576)] = 65_536
    """Size of a request's line and headers, in bytes; more is answered 431."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=1_073_741_824)] = 16_777_216
    """Size of a request's body, in bytes; more is answered 413."""

    max_recording_bytes: Annotated[int, Field(ge=1024, le=1_073_741_824)] = 26_214_400
    """Size of a recording that is to be written down, in bytes, beside 256 KiB for the rest of its form; more is
    answered 413. OpenAI takes as much. Where `max_body_bytes` is more than both, that counts for recordings, too."""

    request_timeout_s: Seconds = 30.0
    """Longest time for a client to send a request's headers, and again its body, in seconds. Then 408."""

    keep_alive_s: Seconds = 320.0
    """How long an idle client connection is kept, in seconds. Longer than clients keep theirs, which VS Code does for
    300 s, so that none of them writes into a connection that is being closed."""

    allowed_origins: tuple[str, ...] = ()
    """Pages that may ask the router from within a browser, as `https://chat.example.com`; `*` is every page of the web,
    and wants API keys. Programs, VS Code's extensions among them, need none of it."""

    @model_validator(mode="after")
    def _origins_are_some(self) -> Self:
        for index, origin in enumerate(self.allowed_origins):
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                message = (
                    f"must be * or the origin of a page, as https://chat.example.com without a path, got {origin!r}"
                )
                raise error_at(("allowed_origins", index), message)
        return self


class RouterArgs(Settings):
    """`args` of the router's application (`import_path: deployments.app:router`)."""

    listener: ListenerSettings = ListenerSettings()
    """The router's own listener."""

    api_keys: ApiKeySettings = ApiKeySettings()
    """Accepted API keys. With none, everybody on this machine is served, and nobody else."""

    cache: CacheSettings = CacheSettings()
    """Where answers are kept that would only be made again. Each model has its own policy, in the model table."""

    batches: BatchSettings = BatchSettings()
    """Files and batches, and how much of the house batches may use."""

    drain_timeout_s: Seconds = 600.0
    """Longest time that running requests get when the router is to stop, in seconds. Then they are aborted."""

    @model_validator(mode="after")
    def _every_page_needs_a_key(self) -> Self:
        if "*" in self.listener.allowed_origins and self.api_keys.admits_everybody:
            message = "'*' would let every page of the web ask without a key: set api_keys, or name the pages"
            raise error_at(("listener", "allowed_origins"), message)
        return self


class MergingPolicy(Settings):
    """
    How requests for embeddings that come at the same time are asked of the engine as one. Only small ones gain.

    Nothing waits for a clock: a request that comes while the engine has nothing or little to do goes at once, and those
    that come while it is busy go as one after that.
    """

    enabled: bool = True
    """Ask for several requests at once, where that was seen to gain and the tokens of each are known: on llama.cpp."""

    max_inputs: Annotated[int, Field(ge=2, le=4096)] = 64
    """Inputs of one merged call. As many go without waiting for the call before."""

    max_bytes: Annotated[int, Field(ge=1024, le=16_777_216)] = 65_536
    """Size of the inputs of one merged call, in bytes, 4 for each token that is given as a number."""

    max_request_bytes: Annotated[int, Field(ge=1, le=16_777_216)] = 1024
    """Size of the inputs of one request up to which it is merged, in bytes. Longer ones gain nothing and would make
    others wait for them."""


class ModelRoute(Settings):
    """One row of the model table."""

    application: ApplicationName | None = None
    """Name of the Serve application whose replicas serve the model. Either this or `backends`."""

    adapter: ModelName | None = None
    """One of the `lora_adapters` of the application's engine, to serve it as a model of its own. Default: the
    engine's own model."""

    backends: tuple[BackendSettings, ...] = ()
    """Several applications, or adapters, among which the model's sessions are shared by weight, each session staying
    with its own. Either this or `application`, which is one backend."""

    fallbacks: tuple[ApplicationName, ...] = ()
    """Names of other Serve applications that serve the model, one after another, while no replica of `application`, or
    of any backend, takes a request, or none may wait for one: another engine for the same weights, say. Default: none,
    and requests wait."""

    shadow: ShadowSettings | None = None
    """A backend that is sent copies of the model's requests, to be compared. Default: none."""

    canary_rule: CanaryRule = CanaryRule()
    """When a canary of the model, started by `enginehouse canary start`, is aborted by itself."""

    aliases: tuple[ModelName, ...] = ()
    """Other names for the same model. Give editors an alias and change what is behind it, not their settings."""

    cache: CachePolicy = CachePolicy()
    """Which answers are kept, for how long, and for whom."""

    replica_choice: ReplicaChoice = "prefix"
    """Which of several replicas takes a request. `prefix`: that which has the conversation, or a prompt with the same
    beginning, in its KV cache, as long as it has no more than 1.25 times the mean to do. `least_busy`: the one with
    the least to do, for engines that keep no KV cache between requests."""

    merging: MergingPolicy = MergingPolicy()
    """How requests for embeddings that come at the same time are asked of the engine as one."""

    reliability: ReliabilityPolicy = ReliabilityPolicy()
    """What happens to the model's requests when a replica is slow, overloaded or lost."""

    queue: QueuePolicy = QueuePolicy()
    """Who goes first, and how long requests wait, while the engines run as many as they can."""

    autocomplete: AutocompletePolicy = AutocompletePolicy()
    """Completion in editors: when it is late, and when it is no longer wanted."""

    fim: FimPolicy = FimPolicy()
    """Filling in the middle: by which marks the model knows what it is to fill in."""

    roles: RolePolicy = RolePolicy()
    """Chats as the model's template takes them."""

    limits: ModelLimits = ModelLimits()
    """What the model takes, and how much of it at once."""

    capabilities: CapabilitySettings = CapabilitySettings()
    """What the model can do, where its engine does not say so, or is wrong."""

    wake: WakePolicy | None = None
    """For a model that may have no replica (`min_replicas: 0`): how requests wait until it has one. Default: as they
    wait for any replica, `reliability.deadlines.queue_s`."""

    @property
    def shares(self) -> tuple[BackendSettings, ...]:
        """Its backends as they stand in the file; one where that says `application`."""
        if self.application is None:
            return self.backends
        return (BackendSettings(application=self.application, adapter=self.adapter),)

    @property
    def applications(self) -> tuple[str, ...]:
        """All that may serve the model: that of the greatest weight first, the fallbacks last."""
        ranked = sorted(self.shares, key=lambda backend: -backend.weight)
        return tuple(dict.fromkeys([*(backend.application for backend in ranked), *self.fallbacks]))

    def placed_shares(self) -> Iterator[tuple[KeyPath, BackendSettings]]:
        """Each of `shares`, and where in the row its fields are."""
        for index, backend in enumerate(self.shares):
            yield ("backends", index) if self.backends else (), backend

    def destinations(self) -> Iterator[tuple[KeyPath, str]]:
        """Every application that the row names, and where in it."""
        yield from (((*place, "application"), backend.application) for place, backend in self.placed_shares())
        if self.shadow is not None:
            yield ("shadow", "application"), self.shadow.application
        yield from ((("fallbacks", index), name) for index, name in enumerate(self.fallbacks))

    @model_validator(mode="after")
    def _has_backends(self) -> Self:
        if self.application is None and not self.backends:
            raise error_at(("application",), "is required, or backends in its place")
        if self.application is not None and self.backends:
            raise error_at(("backends",), "cannot be set beside application, which is one backend")
        if self.adapter is not None and self.backends:
            raise error_at(("adapter",), "cannot be set beside backends, which have adapters of their own")
        for error in bad_backends(self.backends):
            raise error
        return self

    @model_validator(mode="after")
    def _fallbacks_are_others(self) -> Self:
        if self.fallbacks and all(backend.adapter is not None for backend in self.shares):
            raise error_at(("fallbacks",), "cannot be set beside adapter: other engines do not have it")
        asked = [backend.application for backend in self.shares]
        for index, name in enumerate(self.fallbacks):
            if name in (*asked, *self.fallbacks[:index]):
                raise error_at(("fallbacks", index), f"{name!r} is asked already")
        return self


class RequestSettings(Settings):
    """Time limits of a request on its way through the router."""

    replica_wait_s: Seconds = 30.0
    """Longest time a request waits for a model without a ready replica, in seconds. Then 503."""

    connect_timeout_s: Seconds = 2.0
    """Longest time to connect to a replica, in seconds. Then the next one is tried."""

    first_byte_timeout_s: Seconds = 600.0
    """Longest time from handing a request to an engine until the first byte of its answer, in seconds. Then 504."""

    stall_timeout_s: Seconds = 120.0
    """Longest silence of an engine within a streamed answer, in seconds. Then the stream is resumed on another replica,
    or ends with an error event."""

    early_headers_s: Seconds = 5.0
    """When a streamed answer has not begun after this many seconds, its headers are sent ahead and the stream is
    kept alive with a comment each time the same span has passed again. Some editors give up after 30 s without
    headers."""

    max_attempts: Annotated[int, Field(ge=1, le=16)] = 3
    """Attempts at one request: replicas that are tried, one after another, for its first byte or for the rest of a
    stream that broke. From 3 on, the last for a first byte is one of the model's `fallbacks`, where it has any."""


class RouterUserConfig(Settings):
    """`user_config` of the deployment `Router`: reloaded in place, without a restart or a dropped stream."""

    models: dict[ModelName, ModelRoute]
    """The model table: a model's name, and where it is served."""

    auto: dict[ModelName, AutoRoute] = Field(default_factory=dict)
    """Names that are no models: `auto`, say. Rules over facts of the request choose one of `models` for each."""

    fim_model: ModelName | None = None
    """Who fills in where the model that a request names cannot, or is unknown here: one of `models`, or an alias.
    Default: nobody, so that a `suffix` to such a model is answered 400; `/infill` takes the first that can, and wakes
    one where all of those sleep."""

    requests: RequestSettings = RequestSettings()
    """Time limits of a request."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: dict[str, str] = dict.fromkeys(self.models, "the name of a model")
        for name, route in self.models.items():
            for index, alias in enumerate(route.aliases):
                if alias in seen:
                    raise error_at(("models", name, "aliases", index), f"{alias!r} is already {seen[alias]}")
                seen[alias] = f"an alias of {name!r}"
        for name in self.auto:
            if name in seen:
                raise error_at(("auto", name), f"{name!r} is already {seen[name]}")
        return self

    @model_validator(mode="after")
    def _rules_lead_to_models(self) -> Self:
        known = {each for name, route in self.models.items() for each in (name, *route.aliases)}
        if self.fim_model is not None and self.fim_model not in known:
            message = f"there is no model {self.fim_model!r}{did_you_mean(self.fim_model, known)}"
            raise error_at(("fim_model",), message)
        for name, auto in self.auto.items():
            for place, model in auto.destinations():
                if model in self.auto:
                    message = f"{model!r} is a list of rules" + (", and this one of them" if model == name else "")
                    raise error_at(("auto", name, *place), f"{message}: name a model")
                if model not in known:
                    raise error_at(("auto", name, *place), f"there is no model {model!r}{did_you_mean(model, known)}")
        return self
