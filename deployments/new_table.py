"""Whether a model table can be taken over that Serve hands to a running router, and what to say where it cannot."""

import asyncio
import logging
from collections.abc import Collection, Iterator

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from configs.editor_names import misread
from configs.finding import ConfigError, Finding, did_you_mean, key_path_text
from configs.router import RouterUserConfig
from router.routing.policy import PolicyNotFound

STATUS_TIMEOUT_S = 10.0
"""How long Serve's controller is waited for, in seconds. It answers in milliseconds, or restarts."""

logger = logging.getLogger("enginehouse.router")


async def refuse_unknown_applications(config: RouterUserConfig) -> None:
    """
    Applications that are only on their way count: Serve knows all names of a file before it reconfigures anybody.
    Where Serve does not answer, nothing is refused.

    Raises:
        ConfigError: a row names an application that Serve does not have.
    """
    try:
        status = await asyncio.wait_for(asyncio.to_thread(serve.status), STATUS_TIMEOUT_S)
    except (RayError, RayServeException, TimeoutError) as error:
        logger.warning("nobody says whether the model table's applications exist: %r", error)
        return
    unknown = list(unknown_applications(config, status.applications))
    if unknown:
        raise ConfigError(unknown)


def unknown_applications(config: RouterUserConfig, applications: Collection[str]) -> Iterator[Finding]:
    for name, route in config.models.items():
        for place, application in route.destinations():
            if application not in applications:
                message = f"Serve has no application {application!r}{did_you_mean(application, applications)}"
                yield Finding("user_config", 0, 0, key_path_text(("models", name, *place)), message)


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
