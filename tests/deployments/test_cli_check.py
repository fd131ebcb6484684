"""`enginehouse check` and `enginehouse schema`, as processes."""

import json
import subprocess
import sys
from pathlib import Path

import configs
from configs.schema import schema_text

CONFIGS = Path(configs.__file__).parent
GOOD = CONFIGS / "simulated.yaml"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployments.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=CONFIGS.parent)


def _bad_file(folder: Path) -> Path:
    path = folder / "bad.yaml"
    path.write_text(GOOD.read_text(encoding="utf-8").replace("port: 8000", "prot: 8000"), encoding="utf-8")
    return path


def test_a_good_file_passes() -> None:
    """Exit code 0, and a line that says so."""
    done = _run("check", str(GOOD))
    assert (0, "1 file checked: 0 errors, 0 warnings\n", "") == (done.returncode, done.stdout, done.stderr)


def test_the_laptop_file_is_checked() -> None:
    """The tutorial's file has nothing that is not known; only its weights may be missing here."""
    findings = json.loads(_run("check", "--format", "json", str(CONFIGS / "laptop.yaml")).stdout)
    assert {"applications[1].args.model_source"} >= {finding["key"] for finding in findings}


def test_an_error_fails_with_its_place(tmp_path: Path) -> None:
    """Exit code 1, the finding in the form that editors and CI systems turn into links, and the counts."""
    bad = _bad_file(tmp_path)
    line = bad.read_text(encoding="utf-8").partition("prot:")[0].count("\n") + 1
    message = "applications[0].args.listener.prot: unknown key; did you mean 'port'?"
    expected = f"{bad}:{line}:9: error: {message}\n2 files checked: 1 error, 0 warnings\n"
    done = _run("check", str(GOOD), str(bad))
    assert (1, expected) == (done.returncode, done.stdout)


def test_findings_can_be_json(tmp_path: Path) -> None:
    """Each finding is an object with its place, key path, message and severity."""
    bad = _bad_file(tmp_path)
    done = _run("check", "--format", "json", str(bad))
    (finding,) = json.loads(done.stdout)
    del finding["line"], finding["column"]
    expected = {
        "file": str(bad),
        "key": "applications[0].args.listener.prot",
        "message": "unknown key; did you mean 'port'?",
        "severity": "error",
    }
    assert (1, expected) == (done.returncode, finding)


def test_warnings_do_not_fail(tmp_path: Path) -> None:
    """Exit code 0 with warnings alone."""
    path = tmp_path / "warned.yaml"
    path.write_text(GOOD.read_text(encoding="utf-8").replace("[default]", "[gpt-4]"), encoding="utf-8")
    done = _run("check", str(path))
    assert (0, "1 file checked: 0 errors, 1 warning") == (done.returncode, done.stdout.splitlines()[-1])


def test_a_missing_file_fails_with_its_name(tmp_path: Path) -> None:
    """Exit code 1, and the system's reason."""
    missing = tmp_path / "missing.yaml"
    done = _run("check", str(missing))
    first = f"{missing}:1:1: error: cannot be read: No such file or directory"
    assert (1, first) == (done.returncode, done.stdout.splitlines()[0])


def test_no_file_is_wrong_usage() -> None:
    """Exit code 2, as everywhere on a command line."""
    assert 2 == _run("check").returncode


def test_checking_imports_no_ray() -> None:
    """Ray takes seconds to import; a check must not wait for it."""
    program = f"""
import atexit, sys
from deployments.cli import main
atexit.register(lambda: print("ray" in sys.modules))
main(["check", {str(GOOD)!r}])
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=CONFIGS.parent)
    assert "False" == done.stdout.splitlines()[-1]


def test_the_schema_is_printed() -> None:
    """The same text that editors find in configs/schema.json."""
    done = _run("schema")
    assert (0, schema_text()) == (done.returncode, done.stdout)
