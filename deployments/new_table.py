"""Whether a model table can be taken over that Serve hands to a running router, and what to say where it cannot."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress

from pydantic import ValidationError
from ray.exceptions import RayError

from configs.checks.model_table import unfit_table
from configs.editor_names import misread
from configs.engine import EngineSettings, ModelArgs
from configs.finding import ConfigError, Finding, Problem, did_you_mean, key_path_text
from configs.router import RouterUserConfig
from configs.serve_file import MODEL_IMPORT_PATH
from deployments.serve_internals import DeployedApplication, deployed_applications
from router.routing.policy import PolicyNotFound

STATUS_TIMEOUT_S = 10.0
"""How long Serve's controller is waited for, in seconds. It answers in milliseconds, or restarts."""

logger = logging.getLogger("enginehouse.router")


async def refuse_what_is_not_there(config: RouterUserConfig) -> None:
    """
    Applications that are only on their way count, as they will be: Serve knows all of a file before it reconfigures
    anybody. Where Serve does not answer, nothing is refused.

    Raises:
        ConfigError: a row names an application that Serve does not have or that is no model, or asks of its engine
            what that does not do: another task, or a LoRA adapter that it does not have.
    """
    problems = await misfits(config)
    if problems:
        raise ConfigError(Finding("user_config", 0, 0, key_path_text(each.path), each.message) for each in problems)


async def misfits(config: RouterUserConfig) -> list[Problem] | None:
    """What `refuse_what_is_not_there` would refuse, with paths in `user_config`. None: Serve does not answer."""
    try:
        deployed = await asyncio.wait_for(asyncio.to_thread(deployed_applications), STATUS_TIMEOUT_S)
    except (RayError, TimeoutError, ValueError) as error:
        logger.warning("nobody says whether the model table's applications exist: %r", error)
        return None
    return [*unknown_applications(config, deployed), *unfit_table(config, engines_of(deployed))]


def unknown_applications(config: RouterUserConfig, deployed: Mapping[str, DeployedApplication]) -> Iterator[Problem]:
    models = [name for name, each in deployed.items() if each.import_path in ("", MODEL_IMPORT_PATH)]
    for name, route in config.models.items():
        for place, application in route.destinations():
            if application not in deployed:
                message = f"Serve has no application {application!r}{did_you_mean(application, models)}"
                yield Problem(("models", name, *place), message)
            elif application not in models:
                message = f"the application {application!r} is no model: its import_path is not {MODEL_IMPORT_PATH!r}"
                yield Problem(("models", name, *place), message)


def engines_of(deployed: Mapping[str, DeployedApplication]) -> dict[str, EngineSettings]:
    """The settings of those that are models and came from a file that says all of them."""
    engines: dict[str, EngineSettings] = {}
    for name, each in deployed.items():
        if each.import_path == MODEL_IMPORT_PATH:
            with suppress(ValidationError):  # its own start says so
                engines[name] = ModelArgs.model_validate(each.args).root
    return engines


def name_warnings(config: RouterUserConfig) -> Iterator[str]:
    """As `enginehouse check` warns of names that editors misread."""
    aliases = (alias for route in config.models.values() for alias in route.aliases)
    for name in (*config.models, *aliases, *config.auto):
        yield from misread(name)


def refusal_text(error: ConfigError | PolicyNotFound) -> str:
    """One line for each mistake: where it is, and what."""
    if isinstance(error, ConfigError):
        return "\n".join(f"{each.key}: {each.message}" if each.key else each.message for each in error.findings)
    return str(error)
