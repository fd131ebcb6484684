"""`enginehouse doctor --engine`: starts one engine here and asks of it everything that the router relies on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import ValidationError

from configs.check import load
from configs.engine import EngineSettings, ModelArgs
from configs.finding import ConfigError
from deployments.conformance.checks import OFFERS
from deployments.conformance.examination import examine
from deployments.diagnosis import Diagnosis, State
from deployments.engines import create_engine
from deployments.engines.errors import EngineError
from deployments.engines.runtime import EngineRuntime


def settings_of(engine: str, given: Sequence[str]) -> EngineSettings:
    """
    The settings of the engine to start.

    Args:
        engine: the kind of an engine, or `FILE#APPLICATION` for the `args` of an application in a configuration file.
        given: settings as `NAME=VALUE`, the value as one writes it in YAML; they go over those of the file.

    Raises:
        click.UsageError: something is missing or wrong, and what.
    """
    path, separator, application = engine.partition("#")
    base = _args_in(Path(path), application) if separator else {"engine": engine}
    base.setdefault("model", "doctor")
    try:
        return ModelArgs.model_validate({**base, **dict(map(_parsed, given))}).root
    except ValidationError as error:
        faults = [f"{_place(each['loc'], each.get('ctx'))}: {each['msg']}" for each in error.errors()]
        raise click.UsageError("\n".join(faults)) from error


def _place(location: tuple[int | str, ...], context: Mapping[str, Any] | None) -> str:
    keys = [*location[1:], *(context or {}).get("path", ())]  # the first is the tag of the engine
    return ".".join(map(str, keys)) or "--engine"


def _args_in(path: Path, application: str) -> dict[str, Any]:
    try:
        file = load(path)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    for each in file.model_apps():
        if each.name == application:
            return each.args.root.model_dump(exclude_unset=True)
    names = ", ".join(each.name for each in file.model_apps())
    raise click.UsageError(f"{path} has no model's application {application!r}; it has: {names}")


def _parsed(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not equals:
        raise click.UsageError(f"--set {given}: must be NAME=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise click.UsageError(f"--set {given}: the value is not YAML") from error


async def examine_engine(
    settings: EngineSettings,
    skipped: frozenset[str],
    show: Callable[[Diagnosis], None],
    on_line: Callable[[str, str], None],
) -> list[Diagnosis]:
    """
    Starts the engine, asks, and stops it. `show` gets each diagnosis at once, and each phase of the start.

    One that takes turns with others is started alone: the routes by which it sleeps are closed then.
    """
    settings = settings.model_copy(update={"swap": None})
    found: list[Diagnosis] = []

    def keep(diagnosis: Diagnosis) -> None:
        found.append(diagnosis)
        show(diagnosis)

    runtime = EngineRuntime(
        create_engine(settings),
        settings,
        "127.0.0.1",
        on_line,
        lambda phase: show(Diagnosis("start", State.OK, phase)),
    )
    try:
        async with runtime:
            async for diagnosis in examine(runtime, settings.model, OFFERS - skipped):
                keep(diagnosis)
    except EngineError as error:
        keep(Diagnosis("start", State.FAIL, error.message))
    return found
