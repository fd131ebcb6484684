"""What the rows of the model table ask of the engines that they lead to."""

from collections.abc import Iterator, Mapping

from configs.backends import label_of
from configs.engine import EngineSettings, VllmSettings
from configs.finding import KeyPath, Problem, did_you_mean
from configs.router import ModelRoute, RouterUserConfig
from configs.routing import AutoRoute

Engines = Mapping[str, EngineSettings]
"""The settings of models' applications by name, as far as they are known: nothing is said of the others."""


def unfit_table(config: RouterUserConfig, engines: Engines) -> Iterator[Problem]:
    """Paths are those in a router's `user_config`."""
    for name, route in config.models.items():
        for problem in (*_other_tasks(route, engines), *_shadow_of_itself(route), *_missing_adapters(route, engines)):
            yield Problem(("models", name, *problem.path), problem.message)
    applications = {
        each: route.shares[0].application for name, route in config.models.items() for each in (name, *route.aliases)
    }
    for name, auto in config.auto.items():
        for problem in _rules_for_other_tasks(auto, applications, engines):
            yield Problem(("auto", name, *problem.path), problem.message)


def _other_tasks(route: ModelRoute, engines: Engines) -> Iterator[Problem]:
    """All do as the first backend does: other backends, fallbacks and the shadow."""
    first = engines.get(route.shares[0].application)
    for place, name in route.destinations():
        other = engines.get(name)
        if first is not None and other is not None and other.task != first.task:
            application = route.shares[0].application
            yield Problem(place, f"the task of {name!r} is {other.task}, that of {application!r} is {first.task}")


def _shadow_of_itself(route: ModelRoute) -> Iterator[Problem]:
    taking = [backend.label for backend in route.shares if backend.weight]
    if route.shadow is not None and taking == [label_of(route.shadow.application, route.shadow.adapter)]:
        message = "is the model's only backend, which has nobody to be compared with"
        yield Problem(("shadow", "application"), message)


def _missing_adapters(route: ModelRoute, engines: Engines) -> Iterator[Problem]:
    for place, application, adapter in _adapters(route):
        engine = engines.get(application)
        known = list(engine.lora_adapters) if isinstance(engine, VllmSettings) else []
        if adapter is not None and engine is not None and adapter not in known:
            near = did_you_mean(adapter, known)
            yield Problem(place, f"the application {application!r} has no LoRA adapter {adapter!r}{near}")


def _adapters(route: ModelRoute) -> Iterator[tuple[KeyPath, str, str | None]]:
    """Each backend's application and adapter, the shadow's too, and where the adapter is named."""
    for place, backend in route.placed_shares():
        yield (*place, "adapter"), backend.application, backend.adapter
    if route.shadow is not None:
        yield ("shadow", "adapter"), route.shadow.application, route.shadow.adapter


def _rules_for_other_tasks(auto: AutoRoute, applications: Mapping[str, str], engines: Engines) -> Iterator[Problem]:
    """A rule for embeddings that leads to a model that generates would only ever be answered 400."""
    for index, rule in enumerate(auto.rules):
        engine = engines.get(applications[rule.model])
        if rule.when.task is not None and engine is not None and engine.task != rule.when.task:
            message = f"the task of {rule.model!r} is {engine.task}, and the rule is for {rule.when.task}"
            yield Problem(("rules", index, "model"), message)
