"""`deploy/kubernetes/`, held against KubeRay's own schema, Serve's, and `configs/prod.yaml`."""

import copy
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest
import yaml
from jsonschema import Draft7Validator
from ray.serve.schema import ServeDeploySchema

from configs.check import examine

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
SCHEMA = json.loads((Path(__file__).parent / "rayservice.schema.json").read_text(encoding="utf-8"))
SECRETS = ("ENGINEHOUSE_API_KEYS", "ENGINEHOUSE_REDIS_PASSWORD", "ENGINEHOUSE_CACHE_KEY")
Json: TypeAlias = dict[str, Any]


def load(name: str) -> Json:
    document: Json = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def service() -> Json:
    return load("rayservice.yaml")


def mistakes(service: Json) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(SCHEMA).iter_errors(service)]


def groups(service: Json) -> list[Json]:
    found: list[Json] = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return found


def templates(service: Json) -> Iterator[Json]:
    cluster = service["spec"]["rayClusterConfig"]
    yield cluster["headGroupSpec"]["template"]
    yield from (group["template"] for group in groups(service))


# KubeRay


def test_kuberay_takes_it(service: Json) -> None:
    """Every key is one that the custom resource has, with a value of its type."""
    assert [] == mistakes(service)


@pytest.mark.parametrize(
    "misspell",
    [
        lambda spec: spec.update(serveConfig="x"),
        lambda spec: spec["upgradeStrategy"].update(type=1),
        lambda spec: spec["rayClusterConfig"].update(rayversion="x"),
        lambda spec: spec["rayClusterConfig"]["workerGroupSpecs"][0].update(maxReplica=1),
        lambda spec: spec["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"].update(volume=[]),
        lambda spec: spec["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"][0].update(envs=[]),
    ],
    ids=["spec", "strategy", "cluster", "group", "pod", "container"],
)
def test_the_schema_refuses_a_mistake(service: Json, misspell: Callable[[Json], None]) -> None:
    """At each level, so that the test above can fail."""
    wrong = copy.deepcopy(service)
    misspell(wrong["spec"])
    assert 1 == len(mistakes(wrong))


# Serve


def test_the_serve_file_is_configs_prod(service: Json, tmp_path: Path) -> None:
    """Word for word. `python deploy/kubernetes/embed.py` writes it anew."""
    written = FOLDER / "rayservice.yaml"
    prod = (ROOT / "configs" / "prod.yaml").read_text(encoding="utf-8")
    text = written.read_text(encoding="utf-8")
    assert text == embed().embedded(text, prod)
    assert yaml.safe_load(prod) == yaml.safe_load(service["spec"]["serveConfigV2"])


def test_another_serve_file_can_be_embedded(service: Json) -> None:
    """Whole, in the place of the one before, and nothing else changes."""
    other = "applications:\n  - name: a # a comment\n\n    args: {text: '\\1'}\n"
    changed = yaml.safe_load(embed().embedded((FOLDER / "rayservice.yaml").read_text(encoding="utf-8"), other))
    assert yaml.safe_load(other) == yaml.safe_load(changed["spec"].pop("serveConfigV2"))
    assert {key: value for key, value in service["spec"].items() if key != "serveConfigV2"} == changed["spec"]


def test_a_file_that_is_not_there_is_told_in_one_line() -> None:
    """And what was embedded stays."""
    before = (FOLDER / "rayservice.yaml").read_bytes()
    command = [sys.executable, FOLDER / "embed.py", "/nowhere.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = "/nowhere.yaml cannot be read: No such file or directory\n"
    assert (1, told, before) == (done.returncode, done.stderr, (FOLDER / "rayservice.yaml").read_bytes())


def test_serve_and_enginehouse_take_the_serve_file(service: Json, tmp_path: Path) -> None:
    """Serve's schema, and the check that also knows misspelt keys."""
    file = tmp_path / "serve.yaml"
    file.write_text(service["spec"]["serveConfigV2"], encoding="utf-8")
    ServeDeploySchema.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    _, findings = examine(file, dict.fromkeys(SECRETS, "only to check this file"))
    assert [] == findings


# what one file says of another


def test_every_model_has_a_group_that_can_hold_it(service: Json) -> None:
    """By label, and by the GPUs and CPUs of the pods that are always there."""
    offered = {
        group["labels"]["engine"]: [
            _number(group["template"]["spec"]["containers"][0]["resources"]["requests"].get(name, 0))
            * group["minReplicas"]
            for name in ("nvidia.com/gpu", "cpu")
        ]
        for group in groups(service)
    }
    asked = dict.fromkeys(offered, (0.0, 0.0))
    for application in yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]:
        options = application["deployments"][0]["ray_actor_options"]
        engine = options.get("label_selector", {}).get("engine")
        if engine:
            num_gpus, num_cpus = asked[engine]
            asked[engine] = (num_gpus + options.get("num_gpus", 0), num_cpus + options["num_cpus"])
    assert [num_gpus for num_gpus, _ in asked.values()] == [num_gpus for num_gpus, _ in offered.values()]
    assert all(asked[engine][1] < num_cpus for engine, (_, num_cpus) in offered.items())  # and a router beside


def test_pods_have_time_to_drain(service: Json) -> None:
    """More than the longest `drain_timeout_s` of a model whose label they have."""
    for application in yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][1:]:
        engine = application["deployments"][0]["ray_actor_options"]["label_selector"]["engine"]
        [group] = [group for group in groups(service) if group["labels"]["engine"] == engine]
        grace_s = group["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace_s > application["args"]["drain_timeout_s"], application["name"]


def test_clients_reach_the_port_that_the_routers_listen_on(service: Json) -> None:
    """The Serve file, the pods' ports, their probe and the network policy name one port."""
    router = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]
    ports = [
        port["containerPort"]
        for template in templates(service)
        for port in template["spec"]["containers"][0]["ports"]
        if port["name"] == "serve"
    ]
    probes = [
        group["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] for group in groups(service)
    ]
    policy = load("network-policy.yaml")["spec"]["ingress"][-1]["ports"][0]["port"]
    assert {router["args"]["listener"]["port"]} == {*ports, *probes, policy}


def test_names_agree(service: Json) -> None:
    """The secrets' variables, the volume's claim, and the label that the network policy goes by."""
    router = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]["args"]
    named = {router["api_keys"]["env"], *(value for key, value in router["cache"]["store"].items() if "_env" in key)}
    claim = load("models.yaml")["metadata"]["name"]
    wanted = load("network-policy.yaml")["spec"]["podSelector"]["matchLabels"]
    for template in templates(service):
        assert wanted == template["metadata"]["labels"]
        assert named == {one["name"] for one in template["spec"]["containers"][0]["env"]} == set(SECRETS)
    for group in groups(service):
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in group["template"]["spec"]["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        assert [claim] == claims


def test_kustomize_names_every_file() -> None:
    """A file beside it that it does not name would never be applied."""
    named = load("kustomization.yaml")["resources"]
    assert sorted(named) == sorted(path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")


def test_the_ray_of_the_cluster_is_the_one_that_is_locked(service: Json) -> None:
    """KubeRay goes by the number; the images install the lock."""
    lock = (ROOT / "requirements" / "laptop.txt").read_text(encoding="utf-8")
    assert f"\nray=={service['spec']['rayClusterConfig']['rayVersion']} " in lock


def test_the_image_copies_what_there_is() -> None:
    """Every path that the Dockerfile takes from the checkout exists, and `.dockerignore` lets it through."""
    lines = (ROOT / "deploy" / "images" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied
    assert [] == [path for path in copied if not (ROOT / path).exists() or f"!{path}" not in let_through]


def _number(quantity: str | float) -> float:
    return float(quantity)


def embed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("embed", FOLDER / "embed.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
