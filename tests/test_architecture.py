"""The chain configs <- cache <- router <- deployments holds, and whoever breaks it is told."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("configs", "cache", "router", "deployments")
ROOMS = ("http", "call", "fitting", "load", "models", "replicas", "state")
"""Those parts of router that a contract names."""


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).with_name("lint-imports")),
        "--no-cache",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    environment = {"PYTHONPATH": str(directory), "COLUMNS": "200"}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_no_imports_go_in_a_circle() -> None:
    """Nor do those that are for types alone: a module can be read after all that it knows of."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = [(one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one)]
    assert [] == sorted((one, other) for one, other in imports if graph.chain_exists(importer=other, imported=one))


def make_packages(directory: Path) -> None:
    for name in PACKAGES:
        (directory / name).mkdir()
        (directory / name / "__init__.py").touch()
    for name in ROOMS:
        (directory / "router" / name).mkdir()
        (directory / "router" / name / "__init__.py").touch()


def test_every_contract_is_kept() -> None:
    """No import in the four packages breaks a contract of pyproject.toml."""
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("configs", "import cache", "configs <- cache <- router <- deployments"),
        ("cache", "import router", "configs <- cache <- router <- deployments"),
        ("router", "import deployments", "configs <- cache <- router <- deployments"),
        ("router", "import ray.serve", "Only deployments knows Ray and engines"),
        ("configs", "import xllamacpp", "Only deployments knows Ray and engines"),
        ("configs", "import fastapi", "configs reads YAML and nothing else"),
        ("cache", "import aiohttp", "cache knows bytes, not HTTP or models"),
        ("router/http", "import router.state", "router.http is the wire alone"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(module: str, statement: str, contract: str, tmp_path: Path) -> None:
    """An import against the chain, or of a library that a layer must not know, is reported under its contract."""
    make_packages(tmp_path)
    (tmp_path / module / "__init__.py").write_text(statement + "\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout
