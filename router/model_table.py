"""The model table: what clients may ask for, and which application serves it. Never changed, only replaced."""

from collections.abc import Callable
from dataclasses import dataclass, field

from configs.cache import CachePolicy
from configs.lanes import AutocompletePolicy, QueuePolicy
from configs.limits import ModelLimits
from configs.reliability import ReliabilityPolicy
from configs.router import MergingPolicy, ReplicaChoice, RequestSettings, RouterUserConfig
from router.errors import ModelNotFound
from router.reliability.deadlines import USUAL_DEADLINES, Deadlines
from router.routing.auto import Auto
from router.routing.facts import Facts


@dataclass(slots=True, frozen=True)
class Model:
    """
    One served model.

    `applications` are asked one after another; the first is the model's own, the others are its fallbacks.
    `aliases` are other names that clients may use. `adapter` is the LoRA adapter of the application's engine that
    it is; None is the engine's own model, whatever the engine calls that. `requests` are the time limits of the table
    that it is from.
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


@dataclass(slots=True, frozen=True)
class Choice:
    """The model that a request gets. `rule` is `NAME/RULE` where it asked for a name that is no model."""

    model: Model
    rule: str | None = None


@dataclass(slots=True, frozen=True)
class RefusedTable:
    """A `user_config` that was not taken over. `at` is Unix time, in seconds; `reason` is one line for each mistake."""

    at: float
    reason: str


class ModelTable:
    """
    All models of one version of the router's `user_config`.

    Raises:
        PolicyNotFound: it names a policy that cannot be imported.
    """

    def __init__(self, config: RouterUserConfig) -> None:
        self.requests: RequestSettings = config.requests
        self.models = tuple(
            Model(
                name, route.applications, route.aliases, route.adapter, route.cache, route.replica_choice,
                route.merging, route.reliability, Deadlines.of(route.reliability.deadlines, config.requests),
                route.queue, route.autocomplete, route.limits, config.requests,
            )
            for name, route in config.models.items()
        )  # fmt: skip
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
        return tuple(dict.fromkeys(self._by_name[name] for name in (default, *names)))

    @property
    def applications(self) -> frozenset[str]:
        return frozenset(name for model in self.models for name in model.applications)
