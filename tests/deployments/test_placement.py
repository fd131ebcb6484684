"""Why a replica finds no node."""

from typing import Any

import pytest

from configs.serve_file import ServeFile
from deployments.placement import Demand, Node, demands_of, has_labels, why_nowhere

NODES = (
    Node("10.0.0.1", {"engine": "vllm"}, {"CPU": 8, "GPU": 2}, {"CPU": 8, "GPU": 1}),
    Node("10.0.0.2", {"engine": "vllm"}, {"CPU": 16, "GPU": 1}, {"CPU": 4, "GPU": 1}),
    Node("10.0.0.3", {}, {"CPU": 2}, {"CPU": 2}),
)


@pytest.mark.parametrize(
    ("resources", "selector", "expected"),
    [
        ({"CPU": 4, "GPU": 1}, {"engine": "vllm"}, None),
        ({"CPU": 2, "GPU": 0}, {}, None),
        ({"CPU": 1}, {"engine": "ollama"}, "no node has the label engine=ollama"),
        ({"CPU": 1, "GPU": 4}, {}, "no node has 1 CPU and 4 GPU; the most is 16 CPU and 2 GPU"),
        (
            {"CPU": 4, "GPU": 2},
            {"engine": "vllm"},
            "no node with engine=vllm has 4 CPU and 2 GPU free; the most is 8 CPU and 1 GPU",
        ),
    ],
)
def test_why_a_replica_waits(resources: dict[str, float], selector: dict[str, str], expected: str | None) -> None:
    """What no node has, or none has free, is named with what there is."""
    assert expected == why_nowhere(Demand(resources, selector), NODES)


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("vllm", [True, False, False]),
        ("!vllm", [False, True, True]),
        ("in(vllm, trt)", [True, True, False]),
        ("!in(vllm,trt)", [False, False, True]),
    ],
)
def test_labels(wish: str, expected: list[bool]) -> None:
    """Ray's four forms of a selector. A node without the label satisfies those that exclude."""
    nodes: list[dict[str, str]] = [{"engine": "vllm"}, {"engine": "trt"}, {}]
    assert expected == [has_labels(labels, {"engine": wish}) for labels in nodes]


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        ({}, Demand({"CPU": 1, "GPU": 2})),
        ({"ray_actor_options": {"num_gpus": 2}}, Demand({"CPU": 1, "GPU": 2, "memory": 0})),
        (
            {
                "ray_actor_options": {
                    "num_cpus": 0.5,
                    "num_gpus": 4,
                    "memory": 1000,
                    "resources": {"tpu": 1},
                    "label_selector": {"engine": "vllm"},
                }
            },
            Demand({"CPU": 0.5, "GPU": 4, "memory": 1000, "tpu": 1}, {"engine": "vllm"}),
        ),
    ],
)
def test_what_a_replica_asks_for(deployment: dict[str, Any], expected: Demand) -> None:
    """What its deployment says, and else what is reserved for it: one CPU, and the GPUs that its engine uses."""
    model = {
        "name": "large",
        "import_path": "deployments.app:model",
        "route_prefix": None,
        "args": {"engine": "vllm", "model": "large", "model_source": "m", "tensor_parallel_size": 2},
        "deployments": [{"name": "Engine", **deployment}],
    }
    asked = demands_of(ServeFile.model_validate({"applications": [model]}))
    assert {"large": expected} == asked
