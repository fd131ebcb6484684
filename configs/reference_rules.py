"""What the parts of a file say about each other: names, routes, and the rows of the model table."""

from collections.abc import Callable, Iterator

from configs.backends import BackendSettings, label_of
from configs.editor_names import misread
from configs.engine import VllmSettings
from configs.finding import KeyPath, Problem, did_you_mean
from configs.router import ModelRoute
from configs.routing import AutoRoute
from configs.serve_file import (
    MODEL_IMPORT_PATH,
    ROUTER_IMPORT_PATH,
    AnyApplication,
    ModelApplication,
    OtherApplication,
    ServeFile,
)


def applications_are_unique(file: ServeFile) -> Iterator[Problem]:
    yield from _unique(file, "name", lambda application: application.name)
    yield from _unique(file, "route_prefix", lambda application: application.route_prefix)


def _unique(file: ServeFile, key: str, value_of: Callable[[AnyApplication], str | None]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, application in enumerate(file.applications):
        value = value_of(application)
        if value is not None and value in first:
            yield Problem(("applications", index, key), f"{value!r} is already that of applications[{first[value]}]")
        elif value is not None:
            first[value] = index


def there_is_one_router(file: ServeFile) -> Iterator[Problem]:
    routers = [index for index, _ in file.routers()]
    if not routers:
        message = f"there is no router: an application with the import_path {ROUTER_IMPORT_PATH!r}"
        yield Problem(("applications",), message)
    for index in routers[1:]:
        message = f"there is a router already: applications[{routers[0]}]. Scale it with num_replicas instead"
        yield Problem(("applications", index), message)


def routes_lead_to_models(file: ServeFile) -> Iterator[Problem]:
    applications = {each.name for each in file.applications}
    models = [each.name for each in file.model_apps()]
    for place, name in _destinations(file):
        if name not in applications:
            yield Problem(place, f"there is no application {name!r} in this file{did_you_mean(name, models)}")
        elif name not in models:
            message = f"the application {name!r} is no model: its import_path is not {MODEL_IMPORT_PATH!r}"
            yield Problem(place, message)


def _destinations(file: ServeFile) -> Iterator[tuple[KeyPath, str]]:
    """Every application that the model table names, and where."""
    for row, _, route in _rows(file):
        yield from (((*row, *place), name) for place, name in route.destinations())


def _backends(row: KeyPath, route: ModelRoute) -> Iterator[tuple[KeyPath, BackendSettings]]:
    """Each backend, and where its application is named."""
    for index, backend in enumerate(route.shares):
        yield (*row, *(("backends", index) if route.backends else ()), "application"), backend


def backends_do_the_same(file: ServeFile) -> Iterator[Problem]:
    """As the first of them does: other backends, fallbacks and the shadow."""
    tasks = {each.name: each.args.root.task for each in file.model_apps()}
    for row, _, route in _rows(file):
        first = route.shares[0].application
        task = tasks.get(first)
        others = [(place, backend.application) for place, backend in _backends(row, route)]
        others += [((*row, "fallbacks", index), name) for index, name in enumerate(route.fallbacks)]
        if route.shadow is not None:
            others.append(((*row, "shadow", "application"), route.shadow.application))
        for place, name in others:
            if task is not None and tasks.get(name, task) != task:
                yield Problem(place, f"the task of {name!r} is {tasks[name]}, that of {first!r} is {task}")


def shadows_are_others(file: ServeFile) -> Iterator[Problem]:
    for row, _, route in _rows(file):
        taking = [backend.label for backend in route.shares if backend.weight]
        if route.shadow is not None and taking == [label_of(route.shadow.application, route.shadow.adapter)]:
            message = "is the model's only backend, which has nobody to be compared with"
            yield Problem((*row, "shadow", "application"), message)


def adapters_exist(file: ServeFile) -> Iterator[Problem]:
    adapters = {each.name: _adapters(each) for each in file.model_apps()}
    for row, _, route in _rows(file):
        named = [((*place[:-1], "adapter"), one.application, one.adapter) for place, one in _backends(row, route)]
        if route.shadow is not None:
            named.append(((*row, "shadow", "adapter"), route.shadow.application, route.shadow.adapter))
        for place, application, adapter in named:
            known = adapters.get(application)
            if adapter is not None and known is not None and adapter not in known:
                near = did_you_mean(adapter, known)
                yield Problem(place, f"the application {application!r} has no LoRA adapter {adapter!r}{near}")


def _adapters(application: ModelApplication) -> list[str]:
    settings = application.args.root
    return list(settings.lora_adapters) if isinstance(settings, VllmSettings) else []


def models_have_routes(file: ServeFile) -> Iterator[Problem]:
    reached = {name for _, name in _destinations(file)}
    for index, application in enumerate(file.applications):
        if isinstance(application, ModelApplication) and application.name not in reached:
            message = f"no row of the router's model table leads to {application.name!r}: nobody can use it"
            yield Problem(("applications", index, "name"), message, "warning")


def sleepers_are_waited_for(file: ServeFile) -> Iterator[Problem]:
    """Requests wait half a minute for a replica, and most engines take longer to load."""
    sleepers = {
        each.name
        for each in file.model_apps()
        for deployment in each.deployments
        if deployment.autoscaling_config is not None and deployment.autoscaling_config.min_replicas == 0
    }
    for row, _, route in _rows(file):
        for place, backend in _backends(row, route):
            if backend.application in sleepers and route.wake is None and not route.fallbacks:
                message = (
                    f"{backend.application!r} may have no replica (min_replicas: 0), and nothing says how long requests"
                    " wait until it has one: wake: {timeout_s: 600}"
                )
                yield Problem(place, message, "warning")


def queues_have_a_limit(file: ServeFile) -> Iterator[Problem]:
    """The router holds back what an engine cannot run, so it must know how much that is."""
    unlimited = {each.name for each in file.model_apps() if getattr(each.args.root, "max_num_seqs", None) is None}
    for row, _, route in _rows(file):
        for backend in route.shares if "queue" in route.model_fields_set else ():
            if backend.application in unlimited:
                name = backend.application
                message = f"nobody waits in it: max_num_seqs of {name!r} is not set, so its engine gets all"
                yield Problem((*row, "queue"), message, "warning")


def names_suit_editors(file: ServeFile) -> Iterator[Problem]:
    named: list[tuple[KeyPath, str]] = [(place, name) for place, name, _ in _autos(file)]
    for row, name, route in _rows(file):
        named += [(row, name), *(((*row, "aliases", index), alias) for index, alias in enumerate(route.aliases))]
    yield from (Problem(place, message, "warning") for place, each in named for message in misread(each))


def rules_lead_to_what_is_asked(file: ServeFile) -> Iterator[Problem]:
    """A rule for embeddings that leads to a model that generates would only ever be answered 400."""
    tasks = {each.name: each.args.root.task for each in file.model_apps()}
    applications = {
        each: route.shares[0].application for _, name, route in _rows(file) for each in (name, *route.aliases)
    }
    for place, _, auto in _autos(file):
        for index, rule in enumerate(auto.rules):
            task = tasks.get(applications[rule.model])
            if rule.when.task is not None and task is not None and task != rule.when.task:
                message = f"the task of {rule.model!r} is {task}, and the rule is for {rule.when.task}"
                yield Problem((*place, "rules", index, "model"), message)


def import_paths_are_ours(file: ServeFile) -> Iterator[Problem]:
    for index, application in enumerate(file.applications):
        if isinstance(application, OtherApplication):
            near = did_you_mean(application.import_path, (ROUTER_IMPORT_PATH, MODEL_IMPORT_PATH))
            if near:
                message = f"{application.import_path!r} is not checked further{near}"
                yield Problem(("applications", index, "import_path"), message, "warning")


def _rows(file: ServeFile) -> Iterator[tuple[KeyPath, str, ModelRoute]]:
    """Each row of the model table: its path, the model's name, and where it leads."""
    for index, router in file.routers():
        for name, route in router.user_config.models.items():
            yield ("applications", index, "deployments", 0, "user_config", "models", name), name, route


def _autos(file: ServeFile) -> Iterator[tuple[KeyPath, str, AutoRoute]]:
    """Each list of rules: its path, its name, and the rules."""
    for index, router in file.routers():
        for name, auto in router.user_config.auto.items():
            yield ("applications", index, "deployments", 0, "user_config", "auto", name), name, auto
