"""One entry of an application's `deployments`: how many replicas, where, and how they are replaced.

The names and ranges are Ray Serve 2.60's own. Serve ignores keys that it does not know; these models do not.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from configs.serve_autoscaling import AutoscalingConfig
from configs.settings import Settings, error_at


class _NotNull:
    """Lets a key be absent (its default is None) but not null, in validation and in the JSON Schema."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._refuse_null, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        value_schema: JsonSchemaValue = handler(schema)["anyOf"][0]
        return value_schema

    @staticmethod
    def _refuse_null(value: object) -> object:
        if value is None:
            raise ValueError("must not be null; leave the key out for the default")
        return value


def _is_remote(uri: str) -> str:
    if "://" not in uri:
        raise ValueError("must be a URI such as https://… or local:///…; Serve uploads no local folder from a file")
    return uri


def _num_replicas(value: object) -> object:
    if value is None or value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError(f"must be a whole number of at least 1, or 'auto', got {value!r}")


def _max_queued(value: int) -> int:
    if value < 1 and value != -1:
        raise ValueError("must be -1 (no limit) or at least 1")
    return value


Value = TypeVar("Value")
IfSet = Annotated[Value | None, _NotNull()]
"""A key that may be left out but not be null. Left out, the application's code decides, or else Serve."""

Fraction = Annotated[float, Field(gt=0, le=1)]
Percent = Annotated[int, Field(ge=0, le=100)]
RemoteUri = Annotated[str, AfterValidator(_is_remote)]
LogLevel = Literal["CRITICAL", "FATAL", "ERROR", "WARN", "WARNING", "INFO", "DEBUG", "NOTSET", 0, 10, 20, 30, 40, 50]


class LoggingConfig(Settings):
    """Logs of Serve's own parts and of the replicas."""

    encoding: Literal["TEXT", "JSON"] = "TEXT"
    """How a log line is written. Default: TEXT."""

    log_level: LogLevel = "INFO"
    """Least severe level that is logged. Default: INFO."""

    logs_dir: str | None = None
    """Folder of the log files. Default: Ray's session folder."""

    enable_access_log: bool = True
    """Log each request that comes through Serve. Default: true."""

    additional_log_standard_attrs: tuple[str, ...] = ()
    """Further attributes of Python's log records to write. Default: none."""


class RuntimeEnv(Settings):
    """The environment that Ray prepares for the processes of an application or of a replica."""

    env_vars: dict[str, str] = Field(default_factory=dict)
    """Environment variables. No secrets: Serve logs them."""

    working_dir: RemoteUri | None = None
    """URI of the archive that becomes the working directory."""

    py_modules: tuple[RemoteUri, ...] = ()
    """URIs of archives that become importable."""

    pip: object = None
    """Packages that pip installs before the start."""

    uv: object = None
    """Packages that uv installs before the start."""

    conda: object = None
    """Conda environment."""

    image_uri: str | None = None
    """Container image of the process. Experimental in Ray: it passes no GPU on."""

    container: dict[str, object] | None = None
    """Older form of `image_uri`."""

    py_executable: str | None = None
    """Command that starts Python."""

    worker_process_setup_hook: str | None = None
    """Import path of a function that runs when a process has started."""

    java_jars: tuple[str, ...] = ()
    """Java archives."""

    excludes: tuple[str, ...] = ()
    """Files that are not uploaded."""

    config: dict[str, object] = Field(default_factory=dict)
    """Options of the preparation itself, such as `setup_timeout_seconds`."""


class RayActorOptions(Settings):
    """What the node of a replica must have."""

    runtime_env: RuntimeEnv = RuntimeEnv()
    """Environment of this deployment's replicas; it completes the application's."""

    num_cpus: NonNegativeFloat | None = None
    """CPUs that a replica reserves; fractions are allowed. Default: 1."""

    num_gpus: NonNegativeFloat | None = None
    """GPUs that a replica reserves; fractions are allowed. Default: 0."""

    memory: NonNegativeFloat | None = None
    """Memory that a replica reserves, in bytes. Default: 0."""

    resources: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    """Custom resources that a replica reserves."""

    accelerator_type: str | None = None
    """Kind of accelerator that the node must have, for example H100."""

    label_selector: dict[str, str] | None = None
    """Labels that the node must have."""

    fallback_strategy: tuple[dict[str, object], ...] | None = None
    """Label selectors to fall back on, one after another."""


class BackpressureConfig(Settings):
    """What a client is told when a deployment's queue is full."""

    status_code: Literal[503, 429] = 503
    """HTTP status. Default: 503."""

    retry_after_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Value of the `Retry-After` header, in seconds. Default: no header."""


class RequestRouterConfig(Settings):
    """How Serve's own handles choose a replica. The router's byte pipe does not go through them."""

    request_router_class: str = "ray.serve._private.request_router:PowerOfTwoChoicesRequestRouter"
    """Import path of the class that chooses."""

    request_router_kwargs: dict[str, object] = Field(default_factory=dict)
    """Arguments of the class."""

    request_routing_stats_period_s: PositiveFloat = 10
    """Time between two looks at a replica's own statistics, in seconds. Default: 10."""

    request_routing_stats_timeout_s: PositiveFloat = 30
    """Longest time to wait for them, in seconds. Default: 30."""

    initial_backoff_s: PositiveFloat = 0.025
    """First pause before choosing again, in seconds. Default: 0.025."""

    backoff_multiplier: PositiveFloat = 2
    """Factor by which the pause grows. Default: 2."""

    max_backoff_s: PositiveFloat = 0.5
    """Longest pause, in seconds. Default: 0.5."""


class GangSchedulingConfig(Settings):
    """Replicas that are only useful together."""

    gang_size: PositiveInt
    """Replicas of one gang; `num_replicas` is a multiple of it."""

    gang_placement_strategy: Literal["PACK", "SPREAD"] = "PACK"
    """On as few nodes as possible, or on as many. Default: PACK."""

    runtime_failure_policy: Literal["RESTART_GANG"] = "RESTART_GANG"
    """What is restarted when one replica fails. Serve 2.60 implements one answer."""


class DeploymentActorConfig(Settings):
    """An actor that all replicas of a deployment share."""

    name: str
    """Name within the deployment."""

    actor_class: str
    """Import path of the class."""

    init_args: tuple[object, ...] = ()
    """Positional arguments of the class."""

    init_kwargs: dict[str, object] = Field(default_factory=dict)
    """Named arguments of the class."""

    actor_options: dict[str, object] = Field(default_factory=dict)
    """Ray's options for the actor."""


class DeploymentOptions(Settings):
    """Options of one deployment. What is left out is decided by the application's code, and after it by Serve."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the deployment, as the application's code has it."""

    num_replicas: Annotated[PositiveInt | Literal["auto"] | None, BeforeValidator(_num_replicas)] = None
    """Replicas: a fixed number, or `auto` for autoscaling. Serve's default: 1."""

    max_ongoing_requests: IfSet[PositiveInt] = None
    """Requests that one replica works on at once. Serve's default: 5."""

    max_queued_requests: IfSet[Annotated[int, AfterValidator(_max_queued)]] = None
    """Requests that wait at each caller; -1 is no limit. Serve's default: -1."""

    backpressure_config: IfSet[BackpressureConfig] = None
    """What a client is told when the queue is full."""

    autoscaling_config: AutoscalingConfig | None = None
    """How the number of replicas follows the load. Serve's default: it does not."""

    graceful_shutdown_wait_loop_s: IfSet[NonNegativeFloat] = None
    """Time between two looks whether a stopping replica is idle, in seconds. Serve's default: 2."""

    graceful_shutdown_timeout_s: IfSet[NonNegativeFloat] = None
    """Time that a stopping replica has to finish its requests before it is killed, in seconds. Serve's default: 20."""

    health_check_period_s: IfSet[PositiveFloat] = None
    """Time between two health checks, in seconds. Serve's default: 10."""

    health_check_timeout_s: IfSet[PositiveFloat] = None
    """Longest time that a health check may take, in seconds. Serve's default: 30."""

    ray_actor_options: IfSet[RayActorOptions] = None
    """What the node of a replica must have."""

    placement_group_bundles: IfSet[tuple[dict[str, NonNegativeFloat], ...]] = None
    """Resources of each replica, in bundles; the replica itself runs in the first."""

    placement_group_strategy: IfSet[Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]] = None
    """Where the bundles go. Serve's default: PACK."""

    placement_group_bundle_label_selector: IfSet[tuple[dict[str, str], ...]] = None
    """Labels for the node of each bundle: one selector for all, or one for each."""

    max_replicas_per_node: IfSet[Annotated[int, Field(ge=1, le=100)]] = None
    """Most replicas on one node. Serve's default: no limit."""

    logging_config: IfSet[LoggingConfig] = None
    """Logs of this deployment."""

    request_router_config: IfSet[RequestRouterConfig] = None
    """How Serve's own handles choose a replica."""

    gang_scheduling_config: GangSchedulingConfig | None = None
    """Replicas that are only useful together."""

    deployment_actors: tuple[DeploymentActorConfig, ...] | None = None
    """Actors that all replicas share."""

    rolling_update_percentage: IfSet[Fraction] = None
    """Share of the replicas that is replaced at once in a rolling update, 0 to 1. Serve's default: 0.2."""

    max_surge_percent: IfSet[Percent] = None
    """Further replicas that a rolling update may start before it stops old ones, in percent. Serve's default: 0, so
    that a model with one replica is away while its successor loads."""

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        for path, message in _contradictions(self):
            raise error_at(path, message)
        return self


def _contradictions(options: DeploymentOptions) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys that Serve refuses beside others."""
    scaling = options.autoscaling_config
    if isinstance(options.num_replicas, int) and scaling is not None:
        yield ("num_replicas",), "must be left out, or be 'auto', beside autoscaling_config"
    if scaling is not None and options.num_replicas is None and scaling.max_replicas < scaling.min_replicas:
        yield ("autoscaling_config", "min_replicas"), f"must be at most max_replicas ({scaling.max_replicas})"
    if options.max_replicas_per_node is not None and options.placement_group_bundles is not None:
        yield ("max_replicas_per_node",), "cannot be set beside placement_group_bundles"
    if options.placement_group_bundle_label_selector is not None:
        num_bundles = len(options.placement_group_bundles or ())
        if not num_bundles:
            yield ("placement_group_bundle_label_selector",), "needs placement_group_bundles beside it"
        elif len(options.placement_group_bundle_label_selector) not in {1, num_bundles}:
            message = f"must have 1 entry, or one for each of the {num_bundles} placement_group_bundles"
            yield ("placement_group_bundle_label_selector",), message
    if options.gang_scheduling_config is not None:
        yield from _gang_contradictions(options, options.gang_scheduling_config.gang_size)


def _gang_contradictions(options: DeploymentOptions, gang_size: int) -> Iterator[tuple[tuple[str, ...], str]]:
    if options.max_replicas_per_node is not None:
        yield ("max_replicas_per_node",), "cannot be set beside gang_scheduling_config"
    if options.placement_group_strategy is not None:
        yield ("placement_group_strategy",), "cannot be set beside gang_scheduling_config"
    if isinstance(options.num_replicas, int) and options.num_replicas % gang_size:
        yield ("num_replicas",), f"must be a multiple of gang_size ({gang_size})"
