"""`configs/checks/swap_groups.py`: what the models of a group must agree on."""

from pathlib import Path

import yaml

from configs.check import check


def _model(name: str, **swap: object) -> dict[str, object]:
    args = {"engine": "simulated", "model": name, "swap": {"group": "g", **swap}}
    return {"name": name, "import_path": "deployments.app:model", "route_prefix": None, "args": args}


def _findings(folder: Path, *models: dict[str, object]) -> list[tuple[str, str]]:
    table = {"models": {str(one["name"]): {"application": one["name"]} for one in models}}
    router = {
        "name": "router",
        "import_path": "deployments.app:router",
        "route_prefix": "/",
        "args": {"listener": {"host": "127.0.0.1", "port": 8000}},
        "deployments": [{"name": "Router", "user_config": table}],
    }
    path = folder / "house.yaml"
    path.write_text(yaml.safe_dump({"proxy_location": "Disabled", "applications": [router, *models]}), encoding="utf-8")
    return [(each.key, each.message) for each in check(path, {})]


def test_models_of_a_group_need_nothing_more(tmp_path: Path) -> None:
    """Each may have its own patience."""
    assert [] == _findings(tmp_path, _model("a", min_awake_s=1), _model("b", min_awake_s=9, max_wait_s=30))


def test_models_of_a_group_agree_on_how_many_are_awake(tmp_path: Path) -> None:
    """Each decides by its own settings, and they must decide alike."""
    expected = "is 2, but 1 for 'a', which is of the same group"
    assert [("applications[2].args.swap.max_awake", expected)] == _findings(
        tmp_path, _model("a"), _model("b", max_awake=2)
    )
