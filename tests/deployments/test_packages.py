"""deployments.packages: who else claims the four names."""

import json
import subprocess
import sys
from pathlib import Path

from deployments.packages import co_owned, find_intruders, misplaced

ROOT = Path(__file__).parents[2]


def intruders_seen_from(directory: Path, *import_path: Path) -> list[str]:
    """What `find_intruders` says in a fresh interpreter started in `directory`, which comes first on its path."""
    program = "import json; from deployments.packages import find_intruders; print(json.dumps(find_intruders()))"
    environment = {"PYTHONPATH": ":".join(map(str, (*import_path, ROOT)))}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=directory, env=environment, capture_output=True, text=True, check=True
    )
    sentences: list[str] = json.loads(done.stdout)
    return sentences


def install(site: Path, distribution: str, *files: str) -> None:
    """Put what pip leaves behind for a wheel into `site`: the files, and their list in RECORD."""
    metadata = site / f"{distribution}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        path = site / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_healthy_environment_has_no_intruders() -> None:
    """Here, where the tests run, nobody else claims a name."""
    assert [] == find_intruders()


def test_a_package_of_the_same_name_in_the_working_directory_is_named(tmp_path: Path) -> None:
    """A folder router/ with an __init__.py, where Python is started, is imported instead of ours."""
    (tmp_path / "router").mkdir()
    (tmp_path / "router" / "__init__.py").touch()
    [sentence] = intruders_seen_from(tmp_path)
    assert f"'router' is imported from {tmp_path / 'router'} instead of {ROOT / 'router'}" in sentence


def test_a_module_of_the_same_name_is_named(tmp_path: Path) -> None:
    """A single file cache.py shadows the package as well."""
    (tmp_path / "cache.py").touch()
    [sentence] = intruders_seen_from(tmp_path)
    assert f"'cache' is imported from {tmp_path / 'cache.py'}" in sentence


def test_a_plain_folder_of_the_same_name_is_no_intruder(tmp_path: Path) -> None:
    """Folders without __init__.py give way to a regular package, so one's own configs/ does no harm."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "cache").mkdir()
    assert [] == intruders_seen_from(tmp_path)


def test_another_distribution_with_a_package_of_the_same_name_is_named(tmp_path: Path) -> None:
    """pip lets a second distribution install its router/ over ours without a word."""
    install(tmp_path / "site", "other-lib", "other/__init__.py", "router/extra.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    [sentence] = intruders_seen_from(elsewhere, tmp_path / "site")
    assert "'router' is also installed by other-lib" in sentence


def test_data_files_of_another_distribution_are_no_intruders(tmp_path: Path) -> None:
    """Only Python files can replace ours; a distribution may keep its YAML in a folder configs/."""
    install(tmp_path / "site", "other-lib", "configs/settings.yaml", "routerlib/__init__.py")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert [] == intruders_seen_from(elsewhere, tmp_path / "site")


def test_a_missing_package_is_said_to_be_missing() -> None:
    """A package that cannot be found at all is not confused with one found elsewhere."""
    [sentence] = misplaced({"cache": []}, Path("/somewhere"))
    assert "'cache' is missing from /somewhere" in sentence


def test_enginehouse_itself_is_no_stranger() -> None:
    """One owner is what should be, and that owner is us."""
    assert [] == co_owned({"router": ["enginehouse"]})
