"""The model table: what clients may ask for, and which application serves it. Never changed, only replaced."""

from dataclasses import dataclass, field

from configs.cache import CachePolicy
from configs.router import MergingPolicy, ReplicaChoice, RequestSettings, RouterUserConfig
from configs.wake import WakePolicy
from router.errors import ModelNotFound


@dataclass(slots=True, frozen=True)
class Model:
    """
    One served model.

    `applications` are asked one after another; the first is the model's own, the others are its fallbacks.
    `aliases` are other names that clients may use. `adapter` is the LoRA adapter of the application's engine that
    it is; None is the engine's own model, whatever the engine calls that.
    """

    name: str
    applications: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    adapter: str | None = None
    cache: CachePolicy = field(default_factory=CachePolicy)
    replica_choice: ReplicaChoice = "prefix"
    merging: MergingPolicy = field(default_factory=MergingPolicy)
    wake: WakePolicy | None = None


class ModelTable:
    """All models of one version of the router's `user_config`."""

    def __init__(self, config: RouterUserConfig) -> None:
        self.requests: RequestSettings = config.requests
        self.models = tuple(
            Model(
                name,
                route.applications,
                route.aliases,
                route.adapter,
                route.cache,
                route.replica_choice,
                route.merging,
                route.wake,
            )
            for name, route in config.models.items()
        )
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
    def applications(self) -> frozenset[str]:
        return frozenset(name for model in self.models for name in model.applications)
