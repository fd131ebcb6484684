"""What the parts of a file say about each other: names, routes, and the rows of the model table."""

import re
from collections.abc import Callable, Iterator

from configs.engine import VllmSettings
from configs.finding import KeyPath, Problem, did_you_mean
from configs.router import ModelRoute
from configs.serve_file import (
    MODEL_IMPORT_PATH,
    ROUTER_IMPORT_PATH,
    AnyApplication,
    ModelApplication,
    OtherApplication,
    ServeFile,
)

_CHAT_ONLY_PREFIX = re.compile(r"gpt|o")
_REASONING_INFIX = re.compile(r"o[134]")


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
        yield (*row, "application"), route.application
        yield from (((*row, "fallbacks", index), name) for index, name in enumerate(route.fallbacks))


def fallbacks_do_the_same(file: ServeFile) -> Iterator[Problem]:
    tasks = {each.name: each.args.root.task for each in file.model_apps()}
    for row, _, route in _rows(file):
        task = tasks.get(route.application)
        for index, name in enumerate(route.fallbacks):
            if task is not None and tasks.get(name, task) != task:
                message = f"the task of {name!r} is {tasks[name]}, that of {route.application!r} is {task}"
                yield Problem((*row, "fallbacks", index), message)


def adapters_exist(file: ServeFile) -> Iterator[Problem]:
    adapters = {each.name: _adapters(each) for each in file.model_apps()}
    for row, _, route in _rows(file):
        known = adapters.get(route.application)
        if route.adapter is not None and known is not None and route.adapter not in known:
            near = did_you_mean(route.adapter, known)
            message = f"the application {route.application!r} has no LoRA adapter {route.adapter!r}{near}"
            yield Problem((*row, "adapter"), message)


def _adapters(application: ModelApplication) -> list[str]:
    settings = application.args.root
    return list(settings.lora_adapters) if isinstance(settings, VllmSettings) else []


def models_have_routes(file: ServeFile) -> Iterator[Problem]:
    reached = {name for _, name in _destinations(file)}
    for index, application in enumerate(file.applications):
        if isinstance(application, ModelApplication) and application.name not in reached:
            message = f"no row of the router's model table leads to {application.name!r}: nobody can use it"
            yield Problem(("applications", index, "name"), message, "warning")


def queues_have_a_limit(file: ServeFile) -> Iterator[Problem]:
    """The router holds back what an engine cannot run, so it must know how much that is."""
    unlimited = {each.name for each in file.model_apps() if getattr(each.args.root, "max_num_seqs", None) is None}
    for row, _, route in _rows(file):
        if "queue" in route.model_fields_set and route.application in unlimited:
            message = f"nobody waits in it: max_num_seqs of {route.application!r} is not set, so its engine gets all"
            yield Problem((*row, "queue"), message, "warning")


def names_suit_editors(file: ServeFile) -> Iterator[Problem]:
    """Editors guess what a model can do from its name; Continue and Roo Code do so by these patterns."""
    for row, name, route in _rows(file):
        named: list[tuple[KeyPath, str]] = [(row, name)]
        named += [((*row, "aliases", index), alias) for index, alias in enumerate(route.aliases)]
        yield from (Problem(place, message, "warning") for place, each in named for message in _misread(each))


def _misread(name: str) -> Iterator[str]:
    if _CHAT_ONLY_PREFIX.match(name):
        yield f"some editors offer no completion from a model whose name begins like OpenAI's: {name!r}"
    elif _REASONING_INFIX.search(name):
        yield f"some editors take a model with o1, o3 or o4 in its name for one of OpenAI's: {name!r}"


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
