"""What the models of a swap group must agree on, and what their routes must wait for."""

from collections.abc import Iterator

from configs.finding import KeyPath, Problem
from configs.serve_file import ModelApplication, ServeFile
from configs.swap import SwapSettings

_TURNS_OF_ONE_MODEL = "is for several replicas, which take turns with each other as well where they share a GPU"


def groups_agree(file: ServeFile) -> Iterator[Problem]:
    """On how many of them are awake at once; and a group of one takes turns with nobody."""
    first: dict[str, tuple[str, int]] = {}
    members: dict[str, list[KeyPath]] = {}
    for path, application, swap in _swapped(file):
        name, max_awake = first.setdefault(swap.group, (application.name, swap.max_awake))
        members.setdefault(swap.group, []).append(path)
        if swap.max_awake != max_awake:
            message = f"is {swap.max_awake}, but {max_awake} for {name!r}, which is of the same group"
            yield Problem((*path, "max_awake"), message)
    for group, paths in members.items():
        if len(paths) == 1:
            message = f"no other model is of the group {group!r}: it takes turns with nobody"
            yield Problem((*paths[0], "group"), message, "warning")


def groups_share_gpus(file: ServeFile) -> Iterator[Problem]:
    """A replica that reserves a whole GPU leaves no place on it for the others."""
    for path, application, _ in _swapped(file):
        for number, deployment in enumerate(application.deployments):
            options = deployment.ray_actor_options
            if options is not None and options.num_gpus is not None and options.num_gpus >= 1:
                place = (*path[:2], "deployments", number, "ray_actor_options", "num_gpus")
                yield Problem(place, "must be a part of a GPU, such as 0.1, for other models of the group to share it")


def replicas_take_turns(file: ServeFile) -> Iterator[Problem]:
    """Also those of one model, where Ray puts them on one GPU, as it does while there is room: more of them slow it."""
    for path, application, _ in _swapped(file):
        for number, deployment in enumerate(application.deployments):
            place: KeyPath = (*path[:2], "deployments", number)
            scaling = deployment.autoscaling_config
            if deployment.num_replicas not in (None, 1):
                yield Problem((*place, "num_replicas"), _TURNS_OF_ONE_MODEL, "warning")
            elif scaling is not None and scaling.max_replicas > 1:
                yield Problem((*place, "autoscaling_config"), _TURNS_OF_ONE_MODEL, "warning")


def turns_are_waited_for(file: ServeFile) -> Iterator[Problem]:
    """The router gives a request up when its replica is silent for too long, and a request that waits hears nothing."""
    swapped = {application.name: (path, swap) for path, application, swap in _swapped(file)}
    for _, router in file.routers():
        limits = router.user_config.requests
        for name, route in router.user_config.models.items():
            patience_s = route.reliability.deadlines.first_token_s or limits.first_byte_timeout_s
            for backend in route.shares:
                path, swap = swapped.get(backend.application, ((), None))
                if swap is not None and swap.max_wait_s > patience_s:
                    message = (
                        f"is more than the {patience_s:g} s after which the router gives up requests for {name!r} that "
                        "have no answer (first_token_s, first_byte_timeout_s)"
                    )
                    yield Problem((*path, "max_wait_s"), message, "warning")


def _swapped(file: ServeFile) -> Iterator[tuple[KeyPath, ModelApplication, SwapSettings]]:
    """Each model that takes turns, and where that is said."""
    for index, application in enumerate(file.applications):
        if isinstance(application, ModelApplication) and application.args.root.swap is not None:
            yield ("applications", index, "args", "swap"), application, application.args.root.swap
