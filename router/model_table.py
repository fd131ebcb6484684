"""The model table: what clients may ask for, and which application serves it. Never changed, only replaced."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from configs.cache import CachePolicy
from configs.router import MergingPolicy, ModelRoute, ReplicaChoice, RequestSettings, RouterUserConfig
from router.canary.backends import Backend, backend_of
from router.canary.shadow import Shadow, shadow_of
from router.canary.trial import Trial, base_of, in_force, shares_with
from router.errors import ModelNotFound


@dataclass(slots=True, frozen=True)
class Model:
    """
    One served model.

    `applications` are asked one after another; the first is the model's own, the last are its `fallbacks`.
    `aliases` are other names that clients may use. `adapter` is the LoRA adapter of the first application's engine
    that it is; None is the engine's own model, whatever the engine calls that. `backends` are what its sessions are
    shared among; empty where there is one. `trial` is the canary that has its figures counted.
    """

    name: str
    applications: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    adapter: str | None = None
    cache: CachePolicy = field(default_factory=CachePolicy)
    replica_choice: ReplicaChoice = "prefix"
    merging: MergingPolicy = field(default_factory=MergingPolicy)
    backends: tuple[Backend, ...] = ()
    fallbacks: tuple[str, ...] = ()
    shadow: Shadow | None = None
    trial: Trial | None = None

    def backend_at(self, application: str) -> Backend:
        """Which backend a replica of `application` is, for this request: what answered, by its label."""
        found = next((one for one in self.backends if one.application == application), None)
        return found or Backend(application, None if self.backends else self.adapter)


def model_of(name: str, route: ModelRoute, trials: Sequence[Trial] = ()) -> Model:
    """One row of the table, with what a canary makes of it."""
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
        backends=backends if len(backends) > 1 or route.fallbacks else (),
        fallbacks=route.fallbacks,
        shadow=shadow_of(name, route.shadow, running),
        trial=running,
    )


class ModelTable:
    """All models of one version of the router's `user_config`, and of the canaries that are tried on it."""

    def __init__(self, config: RouterUserConfig, trials: Sequence[Trial] = ()) -> None:
        self.requests: RequestSettings = config.requests
        self.models = tuple(model_of(name, route, trials) for name, route in config.models.items())
        self._by_name = {name: model for model in self.models for name in (model.name, *model.aliases)}

    def resolve(self, name: str) -> Model:
        """
        The model behind a name or an alias.

        Raises:
            ModelNotFound: there is none.
        """
        model = self._by_name.get(name)
        if model is None:
            known = ", ".join(sorted(self._by_name)) or "none"
            raise ModelNotFound(f"The model {name[:200]!r} does not exist. Models here: {known[:1000]}.", param="model")
        return model

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
