"""`ray-cluster.yaml`, held against Ray's own validator and against the Serve file that is meant for it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
Json: TypeAlias = dict[str, Any]


@pytest.fixture(scope="module")
def cluster() -> Json:
    file: Json = yaml.safe_load((ROOT / "ray-cluster.yaml").read_text(encoding="utf-8"))
    return file


def test_its_first_line_says_whose_file_it_is() -> None:
    """Two programs have files of that name."""
    first = (ROOT / "ray-cluster.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert "Ray's cluster launcher" in first
    assert "not for Kubernetes" in first


def test_ray_takes_it(cluster: Json) -> None:
    """As `ray up` would, before it asks the cloud for anything."""
    validate_config(prepare_config(copy.deepcopy(cluster)))


@pytest.mark.parametrize(
    "misspell",
    [
        lambda file: file.update(max_worker=1),
        lambda file: file["docker"].update(run_option=[]),
        lambda file: file["available_node_types"]["vllm"].update(label={}),
        lambda file: file["available_node_types"]["vllm"]["docker"].update(image="x"),
    ],
    ids=["top", "docker", "node type", "docker of a node type"],
)
def test_ray_would_refuse_a_misspelt_key(cluster: Json, misspell: Callable[[Json], None]) -> None:
    """At each level that the file uses."""
    file = copy.deepcopy(cluster)
    misspell(file)
    with pytest.raises(ValidationError):
        validate_config(prepare_config(file))


def test_its_nodes_have_room_for_every_model(cluster: Json) -> None:
    """By label and GPUs: what the models of one label reserve together fits the nodes that are always there."""
    serve_file = yaml.safe_load((ROOT / "configs" / "prod.yaml").read_text(encoding="utf-8"))
    asked: dict[str, float] = {}
    for application in serve_file["applications"]:
        options = application["deployments"][0]["ray_actor_options"]
        engine = options.get("label_selector", {}).get("engine")
        if engine:
            asked[engine] = asked.get(engine, 0) + options.get("num_gpus", 0)
    offered = {
        node["labels"]["engine"]: node["resources"]["GPU"] * node["min_workers"]
        for node in cluster["available_node_types"].values()
        if "labels" in node
    }
    assert asked == offered
