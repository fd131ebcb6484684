"""An entry's `autoscaling_config`: how the number of replicas follows the load. The names are Ray Serve 2.60's own."""

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from configs.settings import Settings, error_at


class AutoscalingPolicy(Settings):
    """Which function decides the number of replicas."""

    policy_function: str = "ray.serve.autoscaling_policy:default_autoscaling_policy"
    """Import path of the function or class."""

    policy_kwargs: dict[str, object] = Field(default_factory=dict)
    """Arguments of the class. `by_engine_load` has three: `max_kv_cache_ratio`, the share of their KV caches, 0 to
    1, that replicas should have in use at the most (default: 0.9); `target_ttft_s`, in what time nine of ten
    interactive streams should have begun, in seconds (default: it is not looked at); and `upscale_delay_s`, which
    stands in for the key of that name beside `policy` as long as that is Serve's 30 (default: 3)."""


class AutoscalingConfig(Settings):
    """How the number of replicas follows the load."""

    min_replicas: NonNegativeInt = 1
    """Fewest replicas; 0 lets a model go to sleep until somebody asks for it. Default: 1."""

    initial_replicas: NonNegativeInt | None = None
    """Replicas at the first start. Default: `min_replicas`."""

    max_replicas: PositiveInt = 1
    """Most replicas. Default: 1, or 100 with `num_replicas: auto`."""

    target_ongoing_requests: PositiveFloat | None = 2
    """Requests, running and waiting, that each replica should have. Default: 2."""

    metrics_interval_s: PositiveFloat = 10
    """Time between two measurements, in seconds. Deprecated by Serve. Default: 10."""

    look_back_period_s: PositiveFloat = 30
    """Time over which measurements are averaged, in seconds. Default: 30."""

    smoothing_factor: PositiveFloat = 1
    """Deprecated by Serve."""

    upscale_smoothing_factor: PositiveFloat | None = None
    """Deprecated by Serve: `upscaling_factor`."""

    downscale_smoothing_factor: PositiveFloat | None = None
    """Deprecated by Serve: `downscaling_factor`."""

    upscaling_factor: PositiveFloat | None = None
    """Factor on each step upwards; below 1 is more careful. Default: 1."""

    downscaling_factor: PositiveFloat | None = None
    """Factor on each step downwards; below 1 is more careful. Default: 1."""

    upscale_delay_s: NonNegativeFloat = 30
    """How long the load must be high before replicas are added, in seconds. Default: 30, which `by_engine_load` takes
    for 3."""

    downscale_delay_s: NonNegativeFloat = 600
    """How long the load must be low before replicas are taken away, in seconds. Default: 600."""

    downscale_to_zero_delay_s: NonNegativeFloat | None = None
    """The same for the last replica, in seconds. Default: `downscale_delay_s`."""

    aggregation_function: Literal["mean", "max", "min"] = "mean"
    """How measurements become one number. Default: mean."""

    policy: AutoscalingPolicy = AutoscalingPolicy()
    """Which function decides. Default: Serve's own, by the requests that Serve carries. A model needs
    `deployments.autoscaling:by_engine_load`, which counts those in the engines and those that wait for one, and can
    look at the time to the first token."""

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if "max_replicas" in self.model_fields_set and self.max_replicas < self.min_replicas:
            raise error_at(("max_replicas",), f"must be at least min_replicas ({self.min_replicas})")
        initial = self.min_replicas if self.initial_replicas is None else self.initial_replicas
        if initial < self.min_replicas:
            raise error_at(("initial_replicas",), f"must be at least min_replicas ({self.min_replicas})")
        if "max_replicas" in self.model_fields_set and initial > self.max_replicas:
            raise error_at(("initial_replicas",), f"must be at most max_replicas ({self.max_replicas})")
        return self
