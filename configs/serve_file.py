"""A whole Ray Serve configuration file, with every application's `args` and `user_config` typed.

The names and ranges are Ray Serve 2.60's own. Serve ignores keys that it does not know; these models do not.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    Tag,
    ValidationError,
    model_validator,
)

from configs.engine import ModelArgs
from configs.finding import did_you_mean
from configs.router import RouterArgs, RouterUserConfig
from configs.scaling import EngineLoadSettings
from configs.serve_deployment import DeploymentOptions, LoggingConfig, RuntimeEnv
from configs.settings import Port, Settings, error_at

ROUTER_IMPORT_PATH = "deployments.app:router"
MODEL_IMPORT_PATH = "deployments.app:model"
ENGINE_LOAD_POLICY = "deployments.autoscaling:by_engine_load"
OTHER_IMPORT_PATH = "other"

SERVE_POLICIES = (
    "ray.serve.autoscaling_policy:default_autoscaling_policy",
    "ray.serve.autoscaling_policy:replica_queue_length_autoscaling_policy",
)

ProxyLocation = Literal["Disabled", "HeadOnly", "EveryNode"]


def _is_route_prefix(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("must begin with /")
    if value != "/" and value.endswith("/"):
        raise ValueError("must not end with /")
    if "{" in value or "}" in value:
        raise ValueError("must not contain { or }")
    return value


def _is_foreign_import_path(value: str) -> str:
    module, separator, name = value.rpartition(":" if ":" in value else ".")
    if not separator or not module or not name or ":" in module:
        raise ValueError("must name a module and what is in it, as in 'package.module:name'")
    if module.partition(".")[0] == "deployments":
        known = (ROUTER_IMPORT_PATH, MODEL_IMPORT_PATH)
        raise ValueError(f"must be {known[0]!r} or {known[1]!r}, got {value!r}{did_you_mean(value, known)}")
    return value


RoutePrefix = Annotated[str, AfterValidator(_is_route_prefix)]


class HttpOptions(Settings):
    """Serve's own HTTP door. The router's own listener is another, under the router's `args`."""

    host: str = "0.0.0.0"  # noqa: S104 (Serve's default, mirrored)
    """Address to listen on. Default: 0.0.0.0, which is every address of the node."""

    port: Port = 8000
    """TCP port. Default: 8000."""

    root_path: str = ""
    """Path that a proxy in front strips from each request. Default: none."""

    request_timeout_s: PositiveFloat | None = None
    """Longest time of a request, in seconds. Default: no limit."""

    keep_alive_timeout_s: NonNegativeInt = 90
    """How long an idle connection is kept, in seconds. Default: 90."""

    ssl_keyfile: str | None = None
    """Path of the TLS key."""

    ssl_certfile: str | None = None
    """Path of the TLS certificate."""

    ssl_keyfile_password: str | None = None
    """Password of the TLS key. Serve logs it."""

    ssl_ca_certs: str | None = None
    """Path of the authorities that clients' certificates are checked against."""

    @model_validator(mode="after")
    def _key_and_certificate_together(self) -> Self:
        if bool(self.ssl_keyfile) != bool(self.ssl_certfile):
            given, missing = ("ssl_keyfile", "ssl_certfile") if self.ssl_keyfile else ("ssl_certfile", "ssl_keyfile")
            raise error_at((given,), f"needs {missing} beside it")
        return self


class GrpcOptions(Settings):
    """Serve's own gRPC door. It opens when there are servicer functions."""

    port: Port = 9000
    """TCP port. Default: 9000."""

    grpc_servicer_functions: tuple[str, ...] = ()
    """Import paths of `add_…_to_server` functions."""

    request_timeout_s: PositiveFloat | None = None
    """Longest time of a request, in seconds. Default: no limit."""

    enable_reflection: bool = True
    """Tell clients which services there are. Default: true."""


class TracingConfig(Settings):
    """OpenTelemetry traces of Serve's own parts."""

    enabled: bool = False
    """Make traces. Default: false, unless `exporter_import_path` comes from the environment."""

    exporter_import_path: str = ""
    """Import path of the exporter. Default: one that writes files."""

    sampling_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the requests that are traced, 0 to 1. Default: 0.01."""


class ControllerRuntimeEnv(Settings):
    """The environment of Serve's controller."""

    env_vars: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the controller alone."""


class ControllerOptions(Settings):
    """Options of Serve's controller."""

    runtime_env: ControllerRuntimeEnv | None = None
    """Environment of the controller's process."""


class Application(Settings):
    """What every application has."""

    name: Annotated[str, Field(min_length=1)] = "default"
    """Name of the application, unique in the file. Default: default."""

    runtime_env: RuntimeEnv = RuntimeEnv()
    """Environment of the application's processes."""

    autoscaling_policy: dict[str, object] | None = None
    """Autoscaling of the application as a whole. Experimental in Serve."""

    logging_config: LoggingConfig | None = None
    """Logs of this application."""

    external_scaler_enabled: bool = False
    """Replicas are set from outside, through Ray's dashboard. Default: false."""


class RouterDeployment(DeploymentOptions):
    """The router application's one deployment."""

    name: Literal["Router"]
    """Name of the deployment."""

    user_config: RouterUserConfig
    """The model table, and all that is taken over without a restart."""


class RouterApplication(Application):
    """The router: the address that clients use."""

    import_path: Literal["deployments.app:router"]
    """What builds the application."""

    route_prefix: RoutePrefix | None = "/"
    """Path of the router behind Serve's own HTTP door, or null for none. Default: /."""

    args: RouterArgs = RouterArgs()
    """Settings of the router. A change restarts it."""

    deployments: Annotated[tuple[RouterDeployment, ...], Field(min_length=1, max_length=1)]
    """The deployment `Router`."""

    @property
    def user_config(self) -> RouterUserConfig:
        return self.deployments[0].user_config


class EngineDeployment(DeploymentOptions):
    """A model application's one deployment."""

    name: Literal["Engine"]
    """Name of the deployment."""

    user_config: None = None
    """An engine has nothing that could change without a restart."""

    @model_validator(mode="after")
    def _scaling_sees_the_load(self) -> Self:
        """Requests reach an engine past Serve: its own policy would see none."""
        scaling = self.autoscaling_config
        if scaling is None and self.num_replicas == "auto":
            raise error_at(("num_replicas",), "'auto' needs autoscaling_config beside it, with its policy")
        if scaling is None:
            return self
        place = ("autoscaling_config", "policy")
        if "policy" not in scaling.model_fields_set:
            raise error_at(place, f"must be given, with policy_function: {ENGINE_LOAD_POLICY}")
        if scaling.policy.policy_function in SERVE_POLICIES:
            message = f"must be {ENGINE_LOAD_POLICY!r}: requests do not pass through Serve, so its own policy sees none"
            raise error_at((*place, "policy_function"), message)
        if scaling.policy.policy_function == ENGINE_LOAD_POLICY:
            _check_policy_kwargs((*place, "policy_kwargs"), scaling.policy.policy_kwargs)
        return self


def _check_policy_kwargs(place: tuple[str, ...], kwargs: dict[str, object]) -> None:
    """Serve hands them on unseen, and its controller would fail on each decision."""
    try:
        EngineLoadSettings.model_validate(kwargs)
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(EngineLoadSettings.model_fields)
        message = f"unknown key; known here: {known}" if first["type"] == "extra_forbidden" else first["msg"]
        raise error_at((*place, *first["loc"]), message) from None


class ModelApplication(Application):
    """One model on one engine."""

    import_path: Literal["deployments.app:model"]
    """What builds the application."""

    route_prefix: None
    """Always null: clients reach a model through the router alone. Left out, Serve would make it /."""

    args: ModelArgs
    """Settings of the engine. A change restarts this model's replicas, and nothing else."""

    deployments: Annotated[tuple[EngineDeployment, ...], Field(max_length=1)] = ()
    """The deployment `Engine`."""


class OtherDeployment(DeploymentOptions):
    """A deployment that is not Enginehouse's."""

    user_config: dict[str, object] | None = None
    """Settings that are taken over in place, without a restart."""


class OtherApplication(Application):
    """An application that is not Enginehouse's."""

    import_path: Annotated[str, AfterValidator(_is_foreign_import_path)]
    """What builds the application: `deployments.app:router`, `deployments.app:model`, or one of your own."""

    route_prefix: RoutePrefix | None = "/"
    """Path of the application behind Serve's own HTTP door, or null for none. Default: /."""

    args: dict[str, object] = Field(default_factory=dict)
    """Arguments of the application's builder."""

    deployments: tuple[OtherDeployment, ...] = ()
    """Options of the application's deployments."""


def _application_kind(value: object) -> str:
    path = value.get("import_path") if isinstance(value, Mapping) else getattr(value, "import_path", None)
    if isinstance(path, str) and path in {ROUTER_IMPORT_PATH, MODEL_IMPORT_PATH}:
        return path
    return OTHER_IMPORT_PATH


AnyApplication = Annotated[
    Annotated[RouterApplication, Tag(ROUTER_IMPORT_PATH)]
    | Annotated[ModelApplication, Tag(MODEL_IMPORT_PATH)]
    | Annotated[OtherApplication, Tag(OTHER_IMPORT_PATH)],
    Discriminator(_application_kind),
]


class ServeFile(Settings):
    """A Ray Serve configuration file: `serve run FILE` and `enginehouse serve FILE` take the same."""

    proxy_location: ProxyLocation = "EveryNode"
    """Where Serve's own HTTP door opens. The router's own listener does not need it. Default: EveryNode."""

    http_options: HttpOptions = HttpOptions()
    """Serve's own HTTP door."""

    grpc_options: GrpcOptions = GrpcOptions()
    """Serve's own gRPC door."""

    controller_options: ControllerOptions | None = None
    """Serve's controller. Experimental in Serve."""

    logging_config: LoggingConfig | None = None
    """Logs of Serve's own parts."""

    tracing_config: TracingConfig | None = None
    """Traces of Serve's own parts."""

    applications: tuple[AnyApplication, ...]
    """The router, and one application for each model."""

    target_capacity: Annotated[float, Field(ge=0, le=100)] | None = None
    """Share of all replicas that is started, in percent. Default: all."""

    def router_app(self) -> RouterApplication:
        """Raises: LookupError: there is no router. `configs.load` returns no such file."""
        for _, router in self.routers():
            return router
        raise LookupError("the file has no router application")

    def model_apps(self) -> tuple[ModelApplication, ...]:
        return tuple(each for each in self.applications if isinstance(each, ModelApplication))

    def routers(self) -> tuple[tuple[int, RouterApplication], ...]:
        """Every router with its index in `applications`: one, in a file without errors."""
        indexed = enumerate(self.applications)
        return tuple((index, each) for index, each in indexed if isinstance(each, RouterApplication))
