"""
The two application builders that Serve config files name, and the only place where deployments are made.

This module must not import annotations from the future: Serve looks at a builder's parameter at run time to turn
`args` into its settings, and would pass a plain dict instead.
"""

from typing import Any

from ray import serve
from ray.serve import Application

from configs.engine import EngineSettings, ModelArgs
from configs.router import RouterArgs
from deployments.engine_replica import EngineReplica
from deployments.packages import find_intruders
from deployments.router_replica import RouterReplica
from router.http.asgi import AsgiApp

GRACE_S = 30.0
"""What Serve allows a stopping replica beyond its own drain timeout, in seconds."""
HEALTH_CHECK_PERIOD_S = 0.5
"""How often Serve asks a replica how it is. It takes three bad answers, so a dead engine is out within 2 s."""


class Engine(EngineReplica):
    """`EngineReplica` as Serve wants it: an asynchronous constructor, and a finalizer that Serve awaits."""

    async def __init__(self, settings: EngineSettings, engine_name: str) -> None:  # type: ignore[misc]
        super().__init__(settings, engine_name)
        await self.start()

    async def __del__(self) -> None:
        await self.stop()


@serve.ingress()
class Router(RouterReplica):
    """`RouterReplica` as Serve wants it."""

    async def __serve_build_asgi_app__(self) -> AsgiApp:
        return await self.build_app()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        await self.take_over(user_config)

    async def __del__(self) -> None:
        await self.stop()


def model(args: ModelArgs) -> Application:
    """A model's application: `import_path: deployments.app:model`."""
    _refuse_intruders()
    settings = args.root
    deployment = serve.deployment(
        name="Engine",
        max_ongoing_requests=1000,
        ray_actor_options={"num_cpus": 1, "num_gpus": settings.reserved_gpus},
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=settings.drain_timeout_s + GRACE_S,
    )(Engine)
    return deployment.bind(settings, settings.engine)


def router(args: RouterArgs) -> Application:
    """The router's application: `import_path: deployments.app:router`."""
    _refuse_intruders()
    deployment = serve.deployment(
        name="Router",
        max_ongoing_requests=10_000,
        max_surge_percent=100,  # the next router listens before this one stops: nobody is refused in between
        health_check_period_s=HEALTH_CHECK_PERIOD_S,
        graceful_shutdown_wait_loop_s=0.1,
        graceful_shutdown_timeout_s=args.drain_timeout_s + GRACE_S,
    )(Router)
    return deployment.bind(args)


def _refuse_intruders() -> None:
    intruders = find_intruders()
    if intruders:
        raise ImportError("; ".join(intruders))
