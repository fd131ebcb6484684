"""How a model's number of replicas follows its load: the arguments of Enginehouse's own policy."""

from typing import Annotated

from pydantic import Field

from configs.settings import Settings


class EngineLoadSettings(Settings):
    """`policy_kwargs` of the policy `deployments.autoscaling:by_engine_load`."""

    max_kv_cache_ratio: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of their KV caches, 0 to 1, that the replicas should have in use at the most; more replicas come when it is
    more. Engines that do not tell it are not measured by it."""

    target_ttft_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """In what time nine of ten interactive streams should have begun, in seconds, from the request's arrival; more
    replicas come when it takes longer. It must be more than an idle replica takes for your prompts, or no number of
    replicas is enough. Default: it is not looked at."""

    upscale_delay_s: Annotated[float, Field(ge=0, le=86_400)] = 3.0
    """How long the load must be high before replicas are added, in seconds, where `upscale_delay_s` of
    `autoscaling_config` is left at Serve's default of 30: as long as nobody waits for a token in vain."""
