"""The files in configs/: right by our own check, by Serve's schema, and by the JSON Schema that editors use."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

import configs
from configs.check import check
from configs.schema import SCHEMA_FILE, schema_text

FILES = sorted(Path(configs.__file__).parent.glob("*.yaml"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def test_there_are_files() -> None:
    """The tests below have something to look at."""
    assert {"laptop.yaml", "simulated.yaml"} <= {path.name for path in FILES}


@every_file
def test_serve_accepts_the_file(path: Path) -> None:
    """`serve run FILE` takes it as it is."""
    names = [application.name for application in ServeDeploySchema.model_validate(_content(path)).applications]
    assert "router" in names


@every_file
def test_editors_find_the_schema(path: Path) -> None:
    """The first line names the schema, for completion and explanations while one types."""
    assert "# yaml-language-server: $schema=./schema.json" == path.read_text(encoding="utf-8").splitlines()[0]


@every_file
def test_the_schema_accepts_the_file(path: Path) -> None:
    """An editor underlines nothing."""
    assert [] == [error.message for error in _validator().iter_errors(_content(path))]


def test_the_schema_is_generated() -> None:
    """schema.json is what the models say; `enginehouse schema --write` makes it so."""
    assert schema_text() == SCHEMA_FILE.read_text(encoding="utf-8")


def test_the_schema_is_a_schema() -> None:
    """It holds to its own dialect."""
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize(
    ("application", "path"),
    [
        ({"import_path": "deployments.app:router", "deployments": []}, "applications.0.deployments"),
        ({"import_path": "deployments.app:model", "route_prefix": "/"}, "applications.0.route_prefix"),
        (
            {"import_path": "deployments.app:model", "args": {"engine": "simulated", "max_num_seqs": 0}},
            "applications.0.args.max_num_seqs",
        ),
        ({"import_path": "deployments.app:model", "args": {"engine": "vim"}}, "applications.0.args.engine"),
        ({"import_path": "a:b", "route_prefix": 5}, "applications.0.route_prefix"),
    ],
)
def test_the_schema_judges_each_application_by_its_import_path(application: dict[str, object], path: str) -> None:
    """An editor underlines the very value that is wrong for this kind of application."""
    errors = _validator().iter_errors({"applications": [application]})
    assert path in {".".join(map(str, error.absolute_path)) for error in errors}


def test_the_laptop_file_has_no_findings() -> None:
    """What the tutorial starts with is without even a warning."""
    laptop = next(path for path in FILES if path.name == "laptop.yaml")
    assert [] == check(laptop, {})


def test_the_simulated_file_has_no_findings() -> None:
    """The load tests' file is right anywhere."""
    simulated = next(path for path in FILES if path.name == "simulated.yaml")
    assert [] == check(simulated, {})


def _content(path: Path) -> object:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
