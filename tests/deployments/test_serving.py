"""deployments.serving.read_plan: what a house cannot begin without."""

from typing import Any

import pytest

from configs.serve_file import ServeFile
from deployments.serving import read_plan


def file(*applications: str, **row: Any) -> ServeFile:
    table = {"models": {"m": row}}
    routers = {"name": "router", "import_path": "deployments.app:router", "route_prefix": "/", "args": {}}
    models = [
        {
            "name": name,
            "import_path": "deployments.app:model",
            "route_prefix": None,
            "args": {"engine": "simulated", "model": name},
        }
        for name in applications
    ]
    router = {**routers, "deployments": [{"name": "Router", "user_config": table}]}
    return ServeFile.model_validate({"applications": [router, *models]})


@pytest.mark.parametrize(
    ("row", "dispensable"),
    [
        ({"application": "a"}, set()),
        ({"application": "a", "fallbacks": ["b"]}, {"a"}),
        ({"backends": [{"application": "a"}, {"application": "b", "weight": 3}]}, {"a"}),
        ({"backends": [{"application": "a"}, {"application": "b", "weight": 0}]}, {"b"}),
        ({"backends": [{"application": "a"}, {"application": "b"}], "fallbacks": ["c"]}, {"a", "b"}),
        ({"application": "a", "shadow": {"application": "b", "ratio": 0.5}}, {"b"}),
    ],
)
def test_a_model_needs_its_last_resort(row: dict[str, Any], dispensable: set[str]) -> None:
    """Its last fallback, or the backend of the greatest weight; the others may fail, and so may a shadow."""
    assert dispensable == read_plan(file("a", "b", "c", **row)).dispensable
