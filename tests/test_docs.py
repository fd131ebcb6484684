"""The pages say what the code does: tables in step, links that lead somewhere, commands and settings that work."""

import inspect
import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from configs.check import check
from configs.serve_file import ServeFile
from deployments.cli import main
from deployments.editors.client import Setup
from deployments.editors.clients.copilot import copilot_settings
from deployments.editors.offered import OfferedModel
from deployments.engines.simulated.requests import parse_generation
from router import errors
from router.metrics import METRICS

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/**/*.md"))
GENERATOR = runpy.run_path(str(ROOT / "docs/generate.py"))

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


# the reference


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=name_of)
def test_a_reference_page_is_in_step_with_the_code(page: Path) -> None:
    """What `make docs` would write is what is there."""
    assert GENERATOR["renew"](page.read_text()) == page.read_text()


def test_every_table_that_can_be_written_stands_in_a_page() -> None:
    """No generated table is without a place."""
    regions = [name for page in REFERENCE.glob("*.md") for name in re.findall(r"<!-- begin ([\w-]+)", page.read_text())]
    assert sorted(GENERATOR["REGIONS"]) == sorted(regions)


def test_every_configuration_key_is_documented() -> None:
    """Each key that the JSON Schema knows has a row of its own."""
    schema = ServeFile.model_json_schema()
    keys = {key for block in (schema, *schema["$defs"].values()) for key in block.get("properties", {})}
    documented = set(re.findall(r"^\| `(\w+)` \|", (REFERENCE / "config.md").read_text(), re.MULTILINE))
    assert set() == keys - documented


def test_every_configuration_key_is_explained() -> None:
    """No row of the configuration's tables ends without a sentence."""
    rows = re.findall(r"^\| `\w+` \|.*$", (REFERENCE / "config.md").read_text(), re.MULTILINE)
    assert [] == [row for row in rows if row.endswith("|  |")]


def test_every_error_code_is_documented() -> None:
    """Each code that a client can see is in the table of errors, and no other."""
    codes = {
        each.code for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.ServingError)
    }
    documented = re.findall(r"^\| \d+ \| `(\w+)`", (REFERENCE / "errors.md").read_text(), re.MULTILINE)
    assert sorted(codes) == sorted(documented)


def test_every_metric_is_documented() -> None:
    """Each metric has a section under the name that Prometheus sees."""
    names = [f"ray_{each.name}{'_total' if each.kind == 'counter' else ''}" for each in METRICS]
    assert names == re.findall(r"^## `(\w+)`", (REFERENCE / "metrics.md").read_text(), re.MULTILINE)


# links


def anchors(page: Path) -> set[str]:
    return {GENERATOR["slug"](title) for title in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)}


@every_page
def test_every_relative_link_resolves(page: Path) -> None:
    """Each link leads to a file that exists and, where it names a heading, to that heading."""
    broken = []
    for link in LINK.findall(prose(page)):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert [] == broken


def test_every_page_is_in_the_index() -> None:
    """The index of the documentation leads to each of its pages."""
    index = ROOT / "docs/README.md"
    reached = {(index.parent / link).resolve() for link in LINK.findall(prose(index))}
    assert set() == {page for page in PAGES if page.is_relative_to(index.parent)} - reached - {index}


# configurations


def merged(base: object, part: object) -> object:
    """`part` laid over `base`: mappings key by key, and lists of named blocks by their names."""
    if isinstance(base, dict) and isinstance(part, dict):
        return base | {key: merged(base.get(key), value) for key, value in part.items()}
    if isinstance(base, list) and isinstance(part, list) and all(isinstance(each, dict) for each in part):
        named = {each["name"]: each for each in base}
        return list((named | {each["name"]: merged(named.get(each["name"]), each) for each in part}).values())
    return part


def configuration_parts(page: Path) -> list[dict[str, object]]:
    parts = [yaml.safe_load(text) for text in blocks(page, "yaml")]
    return [part for part in parts if isinstance(part, dict) and part.keys() & ServeFile.model_fields.keys()]


PAGES_WITH_PARTS = [page for page in PAGES if configuration_parts(page)]


@pytest.mark.parametrize("page", PAGES_WITH_PARTS, ids=name_of)
def test_every_configuration_in_a_page_passes_the_check(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid over a file that comes with Enginehouse, one after another, the page's parts make one without errors."""
    name = "simulated" if "configs/simulated.yaml" in page.read_text() else "laptop"
    config: object = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    Path("api-keys.txt").write_text("a-key\n")
    for part in configuration_parts(page):
        config = merged(config, part)
    Path("whole.yaml").write_text(yaml.safe_dump(config))
    findings = check("whole.yaml", {"ENGINEHOUSE_API_KEYS": "a-key"})
    assert [] == [str(each) for each in findings if each.severity == "error"]


@every_page
def test_every_json_and_yaml_block_is_well_formed(page: Path) -> None:
    """Blocks that are marked as JSON or YAML can be read as such."""
    for text in blocks(page, "json"):
        json.loads(text)
    for text in blocks(page, "yaml"):
        yaml.safe_load(text)


def test_the_editor_settings_are_those_that_serve_prints() -> None:
    """The tutorial's settings for VS Code are the command's own for the model of configs/laptop.yaml."""
    printed = copilot_settings(Setup("http://127.0.0.1:8000", [OfferedModel("smollm2", 2048)]))
    assert [json.loads(printed)] == [json.loads(text) for text in blocks(ROOT / "docs/tutorial/first-token.md", "json")]


# commands


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The words after `program` in every command line of a page, in blocks and between backticks."""
    lines = [line for text in blocks(page, "sh") for line in text.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", prose(page))
    for line in lines:
        words = line.partition("#")[0].split()
        while words and "=" in words[0]:  # variables before the command
            words = words[1:]
        if words and words[0].removeprefix(".venv/bin/") == program:
            yield words[1:]


@every_page
def test_every_enginehouse_command_exists(page: Path) -> None:
    """Each subcommand and each of its options that a page names is one that the command has."""
    context = click.Context(main)
    for words in commands(page, "enginehouse"):
        command = main.get_command(context, words[0]) if words else main
        if isinstance(command, click.Group) and len(words) > 1 and not words[1].startswith("-"):
            command = command.get_command(context, words[1])
        assert command is not None, words
        options = {option for param in command.params for option in param.opts} | {"--help"}
        assert set() == {word.partition("=")[0] for word in words if word.startswith("--")} - options, words


@every_page
def test_every_make_target_exists(page: Path) -> None:
    """Each `make TARGET` that a page names is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {words[0] for words in commands(page, "make") if words and re.fullmatch("[a-z-]+", words[0])}
    assert set() == named - targets


@every_page
def test_every_configuration_file_that_is_named_exists(page: Path) -> None:
    """Each file in configs/ that a page names is there, but for `mine.yaml`, which the reader writes."""
    named = set(re.findall(r"\bconfigs/[\w.]+\.(?:yaml|json)", page.read_text()))
    assert set() == {name for name in named - {"configs/mine.yaml"} if not (ROOT / name).exists()}


@every_page
def test_every_metric_that_is_named_exists(page: Path) -> None:
    """Each of Enginehouse's metrics in a page, or a series of one, is exported under this name."""
    exported = {GENERATOR["exported_name"](metric) for metric in METRICS}
    named = re.findall(r"\b(?:ray_)?enginehouse_\w+", page.read_text())
    assert set() == {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} - exported


@every_page
def test_every_python_block_compiles(page: Path) -> None:
    """Python in a page is at least Python."""
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


def test_every_documented_command_to_the_simulated_engine_is_understood() -> None:
    """The engine accepts each key of `simulated` that the guide to load tests lists."""
    guide = (ROOT / "docs/how-to/load-test-with-the-simulated-engine.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", guide, re.MULTILINE)
    keys = [key for row in rows for key in re.findall(r"`(\w+)`", row) if key != "true"]
    for key in keys:
        wish = {key: {"refuse": True, "numbered": "q7"}.get(key, 500)}
        body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "simulated": wish})
        parse_generation(body.encode(), is_chat=True, model="simulated", max_model_len=2048)
    assert 12 == len(keys)
