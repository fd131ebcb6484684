"""The model table: what clients may ask for, and which application serves it. Never changed, only replaced."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from configs.cache import CachePolicy
from configs.capabilities import CapabilitySettings
from configs.fim import FimPolicy
from configs.lanes import AutocompletePolicy, QueuePolicy
from configs.limits import ModelLimits
from configs.reliability import ReliabilityPolicy
from configs.roles import RolePolicy
from configs.router import MergingPolicy, ModelRoute, ReplicaChoice, RequestSettings, RouterUserConfig
from configs.wake import WakePolicy
from router.canary.backends import Backend, backend_of
from router.canary.shadow import Shadow, shadow_of
from router.canary.trial import Trial, base_of, in_force, shares_with
from router.errors import ModelNotFound
from router.reliability.deadlines import USUAL_DEADLINES, Deadlines
from router.routing.auto import Auto
from router.routing.facts import Facts


@dataclass(slots=True, frozen=True)
class Model:
    """
    One served model.

    `applications` are asked one after another; the first is the model's own, the last are its `fallbacks`.
    `aliases` are other names that clients may use. `adapter` is the LoRA adapter of the first application's engine
    that it is; None is the engine's own model, whatever the engine calls that. `requests` are the time limits of the
    table that it is from. `backends` are what its sessions are shared among; empty where there is one. `trial` is the
    canary that has its figures counted.
    """

    name: str
    applications: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    adapter: str | None = None
    cache: CachePolicy = field(default_factory=CachePolicy)
    replica_choice: ReplicaChoice = "prefix"
    merging: MergingPolicy = field(default_factory=MergingPolicy)
    reliability: ReliabilityPolicy = field(default_factory=ReliabilityPolicy)
    deadlines: Deadlines = USUAL_DEADLINES
    queue: QueuePolicy = field(default_factory=QueuePolicy)
    autocomplete: AutocompletePolicy = field(default_factory=AutocompletePolicy)
    limits: ModelLimits = field(default_factory=ModelLimits)
    requests: RequestSettings = field(default_factory=RequestSettings)
    wake: WakePolicy | None = None
    backends: tuple[Backend, ...] = ()
    fallbacks: tuple[str, ...] = ()
    shadow: Shadow | None = None
    trial: Trial | None = None
    capabilities: CapabilitySettings = field(default_factory=CapabilitySettings)
    fim: FimPolicy = field(default_factory=FimPolicy)
    roles: RolePolicy = field(default_factory=RolePolicy)

    def adapter_at(self, application: str) -> str | None:
        """The LoRA adapter that a replica of `application` is asked for, if any."""
        return self.backend_at(application).adapter if self.backends else self.adapter

    def backend_at(self, application: str) -> Backend:
        """Which backend a replica of `application` is, for this request: what answered, by its label."""
        found = next((one for one in self.backends if one.application == application), None)
        return found or Backend(application, None if self.backends else self.adapter)


def model_of(
    name: str, route: ModelRoute, requests: RequestSettings | None = None, trials: Sequence[Trial] = ()
) -> Model:
    """One row of the table, with what a canary makes of it."""
    requests = requests or RequestSettings()
    promoted, running = in_force(trials, name, base_of(route))
    backends = shares_with([backend_of(share) for share in route.shares], promoted, running)
    return Model(
        name,
        tuple(dict.fromkeys([*(one.application for one in backends), *route.fallbacks])),
        route.aliases,
        backends[0].adapter,
        route.cache,
        route.replica_choice,
        route.merging,
        route.reliability,
        Deadlines.of(route.reliability.deadlines, requests),
        _queue_of(route),
        route.autocomplete,
        route.limits,
        requests,
        route.wake,
        backends=backends if len(backends) > 1 or route.fallbacks else (),
        fallbacks=route.fallbacks,
        shadow=shadow_of(name, route.shadow, running),
        trial=running,
        capabilities=route.capabilities,
        fim=route.fim,
        roles=route.roles,
    )


def _queue_of(route: ModelRoute) -> QueuePolicy:
    """As it is set. The deadline for the queue is one for this queue, too, where somebody has set it."""
    longest_s = route.reliability.deadlines.queue_s
    if longest_s is None or longest_s >= route.queue.max_wait_s:
        return route.queue
    return route.queue.model_copy(update={"max_wait_s": longest_s})


@dataclass(slots=True, frozen=True)
class Choice:
    """The model that a request gets. `rule` is `NAME/RULE` where it asked for a name that is no model."""

    model: Model
    rule: str | None = None


@dataclass(slots=True, frozen=True)
class RefusedTable:
    """
    A `user_config` that was not taken over, or, `is_in_force`, one that was and does not fit the engines that there are
    now. `at` is Unix time, in seconds; `reason` is one line for each mistake.
    """

    at: float
    reason: str
    is_in_force: bool = False


class ModelTable:
    """
    All models of one version of the router's `user_config`, and of the canaries that are tried on it.

    Raises:
        PolicyNotFound: it names a policy that cannot be imported.
    """

    def __init__(self, config: RouterUserConfig, trials: Sequence[Trial] = ()) -> None:
        self.requests: RequestSettings = config.requests
        self.models = tuple(model_of(name, route, config.requests, trials) for name, route in config.models.items())
        self.fim_model = config.fim_model
        """Who fills in where the model that was asked for cannot; None where that is refused."""
        self.autos = tuple(Auto(name, settings) for name, settings in config.auto.items())
        self._by_name = {name: model for model in self.models for name in (model.name, *model.aliases)}
        self._autos = {auto.name: auto for auto in self.autos}

    def choose(self, name: str, gather: Callable[[], Facts]) -> Choice:
        """
        The model for a request that asks for `name`: the one of that name or alias, or the one that rules choose.

        Args:
            name: as the client wrote it.
            gather: the request's facts. Not called for the name of a model.

        Raises:
            ModelNotFound: there is none.
        """
        auto = self._autos.get(name)
        if auto is None:
            return Choice(self.resolve(name))
        decision = auto.decide(gather())
        return Choice(self._by_name[decision.model], f"{name}/{decision.rule}")

    def resolve(self, name: str) -> Model:
        """
        The model behind a name or an alias.

        Raises:
            ModelNotFound: there is none. A name for which rules choose is none.
        """
        model = self._by_name.get(name)
        if model is None:
            known = ", ".join(sorted((*self._by_name, *self._autos))) or "none"
            raise ModelNotFound(f"The model {name[:200]!r} does not exist. Models here: {known[:1000]}.", param="model")
        return model

    def has_name(self, name: str) -> bool:
        """Whether a request may ask for it."""
        return name in self._by_name or name in self._autos

    def find_auto(self, name: str) -> Auto | None:
        return self._autos.get(name)

    def models_of(self, auto: Auto) -> tuple[Model, ...]:
        """Those that may be chosen, that of the last rule first: it takes what fits no other."""
        names = [name for _, name in auto.settings.destinations()]
        default = auto.settings.rules[-1].model
        return tuple({model.name: model for model in (self._by_name[name] for name in (default, *names))}.values())

    @property
    def tally_ids(self) -> frozenset[str]:
        """Under which the figures of its canaries and shadows are counted."""
        trials = (model.trial.id for model in self.models if model.trial is not None)
        return frozenset((*trials, *(model.shadow.tally_id for model in self.models if model.shadow is not None)))

    @property
    def shadows(self) -> frozenset[str]:
        """Applications that get copies of requests."""
        return frozenset(model.shadow.backend.application for model in self.models if model.shadow is not None)

    @property
    def applications(self) -> frozenset[str]:
        """All that requests may be sent to, copies included."""
        return frozenset((*(name for model in self.models for name in model.applications), *self.shadows))
