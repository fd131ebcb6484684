"""What the parts of a file say about each other: names, routes, and the rows of the model table."""

from collections.abc import Callable, Iterator

from configs.checks.model_table import unfit_table
from configs.editor_names import misread
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


def tables_fit_their_engines(file: ServeFile) -> Iterator[Problem]:
    """By tasks and LoRA adapters; and a shadow is another than what it is compared with."""
    engines = {each.name: each.args.root for each in file.model_apps()}
    for index, router in file.routers():
        for problem in unfit_table(router.user_config, engines):
            place = ("applications", index, "deployments", 0, "user_config", *problem.path)
            yield Problem(place, problem.message)


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
        for place, backend in route.placed_shares():
            if backend.application in sleepers and route.wake is None and not route.fallbacks:
                message = (
                    f"{backend.application!r} may have no replica (min_replicas: 0), and nothing says how long requests"
                    " wait until it has one: wake: {timeout_s: 600}"
                )
                yield Problem((*row, *place, "application"), message, "warning")


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
