"""Why a replica finds no node: what it asks for, held against the nodes that there are. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from configs.serve_deployment import RayActorOptions
from configs.serve_file import ModelApplication, RouterApplication, ServeFile

_ONE_OF = re.compile(r"(!?)in\((.*)\)")


@dataclass(slots=True, frozen=True)
class Node:
    """One living node of the cluster: its labels, and its resources by Ray's names, in all and free at this moment."""

    address: str
    labels: Mapping[str, str]
    total: Mapping[str, float]
    free: Mapping[str, float]


@dataclass(slots=True, frozen=True)
class Demand:
    """What one replica reserves, by Ray's names of resources, and the labels that its node must have."""

    resources: Mapping[str, float]
    label_selector: Mapping[str, str] = field(default_factory=dict)


def demands_of(file: ServeFile) -> dict[str, Demand]:
    """What a replica of each of the file's routers and models asks for, by application."""
    applications = [each for each in file.applications if isinstance(each, RouterApplication | ModelApplication)]
    return {each.name: _demand_of(each) for each in applications}


def _demand_of(application: RouterApplication | ModelApplication) -> Demand:
    options = application.deployments[0].ray_actor_options if application.deployments else None
    if options is None:  # what `deployments.app` reserves by itself
        num_gpus = application.args.root.reserved_gpus if isinstance(application, ModelApplication) else 0
        return Demand({"CPU": 1, "GPU": num_gpus})
    return Demand(_resources(options), options.label_selector or {})


def _resources(options: RayActorOptions) -> dict[str, float]:
    num_cpus = 1 if options.num_cpus is None else options.num_cpus
    return {"CPU": num_cpus, "GPU": options.num_gpus or 0, "memory": options.memory or 0, **(options.resources or {})}


def why_nowhere(demand: Demand, nodes: Sequence[Node]) -> str | None:
    """One line that names what is missing; None where a node has room."""
    labelled = [node for node in nodes if has_labels(node.labels, demand.label_selector)]
    wish = _join(f"{key}={value}" for key, value in demand.label_selector.items())
    if not labelled:
        return f"no node has the label {wish}"
    where = f"no node with {wish}" if wish else "no node"
    return _too_small(demand, where, [node.total for node in labelled], "") or _too_small(
        demand, where, [node.free for node in labelled], " free"
    )


def _too_small(demand: Demand, where: str, rooms: Sequence[Mapping[str, float]], free: str) -> str | None:
    wanted = {name: amount for name, amount in demand.resources.items() if amount}
    if any(all(room.get(name, 0) >= amount for name, amount in wanted.items()) for room in rooms):
        return None
    most = {name: max(room.get(name, 0) for room in rooms) for name in wanted}
    return f"{where} has {_amounts(wanted)}{free}; the most is {_amounts(most)}"


def has_labels(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    """Whether a node's labels satisfy Ray's four forms: `a`, `!a`, `in(a,b)` and `!in(a,b)`."""
    return all(_has(labels.get(key), wish) for key, wish in selector.items())


def _has(value: str | None, wish: str) -> bool:
    if found := _ONE_OF.fullmatch(wish):
        is_one = value in [word.strip() for word in found[2].split(",")]
        return is_one is not bool(found[1])
    return value != wish[1:] if wish.startswith("!") else value == wish


def _amounts(resources: Mapping[str, float]) -> str:
    return _join(f"{amount:g} {name}" for name, amount in resources.items())


def _join(words: Iterable[str]) -> str:
    return " and ".join(words)
