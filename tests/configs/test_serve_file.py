"""Our models of a Serve file against Ray Serve's own."""

import pytest
from pydantic import BaseModel
from ray.runtime_env import RuntimeEnv as RayRuntimeEnv
from ray.serve import config, schema

from configs import serve_autoscaling, serve_deployment, serve_file

PAIRS: list[tuple[type[BaseModel], type[BaseModel], set[str]]] = [
    (serve_file.ServeFile, schema.ServeDeploySchema, set()),
    # Serve refuses an application's own host and port in a file of several applications.
    (serve_file.RouterApplication, schema.ServeApplicationSchema, {"host", "port"}),
    (serve_file.ModelApplication, schema.ServeApplicationSchema, {"host", "port"}),
    (serve_file.OtherApplication, schema.ServeApplicationSchema, {"host", "port"}),
    (serve_file.RouterDeployment, schema.DeploymentSchema, set()),
    (serve_file.EngineDeployment, schema.DeploymentSchema, set()),
    (serve_file.OtherDeployment, schema.DeploymentSchema, set()),
    (serve_file.HttpOptions, schema.HTTPOptionsSchema, set()),
    (serve_file.GrpcOptions, schema.gRPCOptionsSchema, set()),
    (serve_file.TracingConfig, schema.TracingConfig, set()),
    (serve_file.ControllerOptions, config.ControllerOptions, set()),
    (serve_deployment.LoggingConfig, schema.LoggingConfig, set()),
    (serve_deployment.RayActorOptions, schema.RayActorOptionsSchema, set()),
    (serve_deployment.BackpressureConfig, config.BackpressureConfig, set()),
    (serve_deployment.RequestRouterConfig, config.RequestRouterConfig, set()),
    (serve_deployment.GangSchedulingConfig, config.GangSchedulingConfig, set()),
    (serve_deployment.DeploymentActorConfig, config.DeploymentActorConfig, set()),
    (serve_autoscaling.AutoscalingConfig, config.AutoscalingConfig, set()),
    (serve_autoscaling.AutoscalingPolicy, config.AutoscalingPolicy, set()),
]
PAIR_NAMES = [ours.__name__ for ours, _, _ in PAIRS]


@pytest.mark.parametrize(("ours", "theirs", "refused"), PAIRS, ids=PAIR_NAMES)
def test_serve_knows_the_same_keys(ours: type[BaseModel], theirs: type[BaseModel], refused: set[str]) -> None:
    """Each model has exactly the keys of the Serve model that it stands for."""
    assert set(theirs.model_fields) - refused == set(ours.model_fields)


@pytest.mark.parametrize(("ours", "theirs", "_refused"), PAIRS, ids=PAIR_NAMES)
def test_serve_requires_the_same_keys(ours: type[BaseModel], theirs: type[BaseModel], _refused: set[str]) -> None:
    """What Serve requires, we require; what else we require is what Enginehouse cannot do without."""
    ours_alone = {
        serve_file.RouterApplication: {"deployments"},
        serve_file.RouterDeployment: {"user_config"},
        serve_file.ModelApplication: {"route_prefix", "args"},
    }
    required = {name for name, field in ours.model_fields.items() if field.is_required()}
    serve_requires = {name for name, field in theirs.model_fields.items() if field.is_required()}
    assert serve_requires | ours_alone.get(ours, set()) == required


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (serve_file.HttpOptions, schema.HTTPOptionsSchema),
        (serve_file.GrpcOptions, schema.gRPCOptionsSchema),
        (serve_autoscaling.AutoscalingConfig, config.AutoscalingConfig),
        (serve_deployment.RequestRouterConfig, config.RequestRouterConfig),
    ],
)
def test_serve_has_the_same_defaults(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    """The defaults that the reference prints are Serve's."""
    assert theirs().model_dump(mode="json") == ours().model_dump(mode="json")


def test_ray_knows_the_same_keys_of_a_runtime_env() -> None:
    """Ray's private keys begin with an underscore and are nobody's to set."""
    public = {name for name in RayRuntimeEnv.known_fields if not name.startswith("_")}
    assert public == set(serve_deployment.RuntimeEnv.model_fields)
