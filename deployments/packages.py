"""
Whether Enginehouse's four packages are its own.

Their names are generic, so two things can go wrong that pip and Python let pass in silence: a folder of the same name
that comes earlier on the import path is imported instead, and another distribution installs its files over ours.
"""

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

DISTRIBUTION = "enginehouse"
PACKAGES = ("configs", "cache", "router", "deployments")


def find_intruders() -> list[str]:
    """
    One plain sentence for each intruder, which it names; none when all is well.

    Cheap enough for every start: packages are looked up, not imported, and of each installed distribution only its
    list of files is read.
    """
    root = Path(__file__).resolve().parent.parent
    return [*misplaced({name: _locations(name) for name in PACKAGES}, root), *co_owned(_owners())]


def misplaced(locations: Mapping[str, Sequence[Path]], root: Path) -> list[str]:
    """A sentence for each package of `locations` that is imported from anywhere but its folder under `root`."""
    sentences = []
    for name, found in locations.items():
        intruders = [path for path in found if path != root / name]
        if intruders:
            where = " and ".join(str(path) for path in intruders)
            sentences.append(
                f"The package {name!r} is imported from {where} instead of {root / name}: "
                "start Enginehouse from a directory that has no folder of that name, or clear PYTHONPATH."
            )
        elif not found:
            sentences.append(f"The package {name!r} is missing from {root}: install Enginehouse again.")
    return sentences


def co_owned(owners: Mapping[str, Iterable[str]]) -> list[str]:
    """A sentence for each package of `owners` that a distribution other than Enginehouse has installed files into."""
    sentences = []
    for name, distribution_names in owners.items():
        strangers = sorted(set(distribution_names) - {DISTRIBUTION})
        if strangers:
            sentences.append(
                f"The package {name!r} is also installed by {' and '.join(strangers)}, which may have overwritten it: "
                "give Enginehouse an environment of its own."
            )
    return sentences


def _locations(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:  # a single module, name.py
        return [Path(spec.origin or name).resolve()]
    return [Path(location).resolve() for location in spec.submodule_search_locations]


def _owners() -> dict[str, list[str]]:
    """
    The distributions that list Python files of each package among their own.

    An editable installation lists none: there the checkout itself is imported, which `misplaced` watches.
    """
    owners: dict[str, list[str]] = {name: [] for name in PACKAGES}
    for distribution in distributions():
        files = (distribution.read_text("RECORD") or distribution.read_text("SOURCES.txt") or "").splitlines()
        for name in PACKAGES:
            if any(_is_python_file_of(name, line.partition(",")[0]) for line in files):
                owners[name].append(distribution.metadata["Name"])
    return owners


def _is_python_file_of(name: str, file: str) -> bool:
    return file.endswith(".py") and file.startswith((f"{name}/", f"{name}.py"))
