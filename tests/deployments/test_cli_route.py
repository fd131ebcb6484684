"""`enginehouse route`: a decision for a person and for a program, and what it says of bad input."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import configs
from deployments.commands.route import route
from router.http.auth import ANONYMOUS_TENANT

CONFIGS = Path(configs.__file__).parent
CHAT: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "fix src/main.rs"}]}
KEY = "sk-of-a-test"
TENANT = hashlib.sha256(KEY.encode()).hexdigest()
AUTO = {
    "rules": [
        {"name": "fim", "when": {"is_fim": True}, "model": "simulated"},
        {"name": "ours", "when": {"tenants": [TENANT[:12]], "editors": ["copilot"]}, "model": "simulated"},
        {"name": "night", "when": {"languages": ["rust"], "hours": "22-6"}, "model": "simulated"},
        {"name": "rest", "model": "simulated"},
    ]
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The simulated engine, with rules, a limit and keys that are not on this machine."""
    document = yaml.safe_load((CONFIGS / "simulated.yaml").read_text(encoding="utf-8"))
    router = document["applications"][0]
    router["args"]["api_keys"] = {"env": "KEYS_OF_ANOTHER_MACHINE"}
    user_config = router["deployments"][0]["user_config"]
    user_config["models"]["simulated"]["limits"] = {"max_prompt_tokens": 100, "max_completion_tokens": 64}
    user_config["auto"] = {"auto": AUTO}
    path = tmp_path / "house.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def run(config: Path, request: object, *options: str) -> Result:
    text = request if isinstance(request, str) else json.dumps(request)
    return CliRunner().invoke(route, ["--explain", "-", "--config", str(config), *options], input=text)


def chosen(done: Result) -> list[str]:
    """The rule that was chosen, by the JSON that was printed."""
    return [rule["name"] for rule in json.loads(done.stdout)["rules"] if rule["is_chosen"]]


def test_a_decision_is_explained_to_a_person(config: Path) -> None:
    """Facts, each rule with its reasons, and where the request would go."""
    done = run(config, CHAT, "--at", "2026-11-30T23:30+01:00")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert (0, "") == (done.exit_code, done.stderr)
    assert {
        "language rust",
        "night chosen: simulated",
        "holds: hours 22-6, and it is 22",
        "fails: is_fim yes, and it is no",
        "rest fits, but comes later: simulated (no conditions)",
        "application simulated",
        "fallbacks none",
        "limits max_prompt_tokens 100, max_completion_tokens 64",
        "max_tokens 64",
        "header x-enginehouse-route: model=simulated; application=simulated; rule=auto/night",
    } <= {*lines}


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer dummy"}])
def test_who_has_no_key_is_a_tenant_where_that_is_allowed(config: Path, headers: dict[str, str]) -> None:
    """A rule for that tenant is explained as the router would decide it."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    router = document["applications"][0]
    router["args"]["api_keys"]["allow_anonymous"] = True
    rules = router["deployments"][0]["user_config"]["auto"]["auto"]["rules"]
    rules.insert(0, {"name": "nobody", "when": {"tenants": [ANONYMOUS_TENANT[:16]]}, "model": "simulated"})
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    request = {"body": CHAT, "headers": headers}
    assert ["nobody"] == chosen(run(config, request, "--at", "2026-11-30T12:00", "--format", "json"))


def test_a_request_may_come_with_headers_and_its_path(config: Path) -> None:
    """The key is looked at as the router would, and is not printed."""
    envelope = {
        "path": "/v1/chat/completions",
        "headers": {"User-Agent": "GitHubCopilotChat/0.67.0", "Authorization": f"Bearer {KEY}"},
        "body": CHAT,
    }
    done = run(config, envelope, "--format", "json")
    assert (0, ["ours"]) == (done.exit_code, chosen(done))
    assert KEY not in done.stdout


def test_options_say_what_the_file_does_not(config: Path) -> None:
    """The path of a body that could go to several, and single headers."""
    body = {"model": "auto", "prompt": "def f(", "suffix": "\n"}
    done = run(config, body, "--path", "/v1/completions", "--header", "x-title: Cline", "--format", "json")
    assert (["fim"], "cline") == (chosen(done), json.loads(done.stdout)["facts"]["editor"])


def test_the_backend_is_that_of_the_session_in_the_headers(config: Path) -> None:
    """Of two with equal weights each has some of them."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    models = document["applications"][0]["deployments"][0]["user_config"]["models"]
    other = {**document["applications"][1], "name": "other"}
    document["applications"].append(other)
    shares = [{"application": models["simulated"].pop("application")}, {"application": "other"}]
    models["simulated"]["backends"] = shares
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    found = set()
    for number in range(20):
        done = run(config, CHAT, "--header", f"x-session-id: s{number}")
        found |= {line.split()[1] for line in done.stdout.splitlines() if line.startswith("application ")}
        assert "that of the session" in done.stdout
    assert {"simulated", "other"} == found


@pytest.mark.parametrize(
    ("request_text", "options", "exit_code", "words"),
    [
        ("{", (), 2, "REQUEST.json is no JSON: Expecting property name"),
        ("[]", (), 2, "must hold an object"),
        ('{"model": "auto"}', (), 2, "Say with --path where it is sent"),
        ('{"body": {}, "header": {}}', (), 2, "['header'] beside `body`"),
        ('{"body": {"prompt": ""}, "headers": {"a": 1}}', (), 2, "`headers` must be an object of texts"),
        ('{"prompt": ""}', ("--path", "/v1/models"), 2, "No engine answers at '/v1/models'"),
        ('{"prompt": ""}', ("--at", "noon"), 2, "--at must be a time"),
        ('{"prompt": ""}', ("--header", "x"), 2, "--header must be 'NAME: VALUE'"),
        ('{"prompt": ""}', (), 1, "the router would answer 400 invalid_request: `model` is missing."),
        ('{"model": "aut", "prompt": ""}', (), 1, "the router would answer 404 model_not_found"),
        (
            '{"model": "auto", "prompt": "' + "x" * 900 + '"}',
            (),
            1,
            "400 context_length_exceeded: The prompt has about",
        ),
    ],
)
def test_bad_input_is_said_to_be_so(
    config: Path, request_text: str, options: tuple[str, ...], exit_code: int, words: str
) -> None:
    """2 for what is no request at all, 1 for one that the router would refuse; one sentence each."""
    done = run(config, request_text, *options)
    assert (exit_code, True) == (done.exit_code, words in " ".join(done.stderr.split()))


def test_rules_that_are_wrong_are_told_by_line(config: Path) -> None:
    """As `enginehouse check` tells them."""
    config.write_text(config.read_text(encoding="utf-8").replace("is_fim:", "is_fin:"), encoding="utf-8")
    done = run(config, CHAT)
    assert (1, True) == (done.exit_code, "when.is_fin: unknown key; did you mean 'is_fim'?" in done.stderr)


def test_the_command_is_there(tmp_path: Path) -> None:
    """As a process, on a file and on the configuration of the tutorial, where none is named."""
    request = tmp_path / "request.json"
    request.write_text(json.dumps({**CHAT, "model": "default"}), encoding="utf-8")
    command = [sys.executable, "-m", "deployments.cli", "route", "--explain", str(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=CONFIGS.parent)
    last = done.stdout.splitlines()[-1].split(maxsplit=1)
    assert (0, ["header", "x-enginehouse-route: model=smollm2; application=smollm2"]) == (done.returncode, last)
