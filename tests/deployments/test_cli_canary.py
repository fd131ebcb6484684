"""`enginehouse canary`, as far as it needs no house."""

import pytest
from click.testing import CliRunner

from configs.backends import TENANT_ID_CHARS
from deployments.commands.canary import canary
from router.http.asgi import Scope
from router.http.auth import KeyRing

KEY = "sk-of-a-tenant"


def test_a_keys_id_is_the_beginning_of_what_the_router_knows_it_by() -> None:
    """It comes through a pipe, and is not repeated."""
    scope: Scope = {"type": "http", "headers": [(b"x-api-key", KEY.encode())]}
    done = CliRunner().invoke(canary, ["tenant"], input=f"{KEY}\n")
    assert (0, KeyRing([KEY]).check(scope)[:TENANT_ID_CHARS] + "\n") == (done.exit_code, done.stdout)


def test_no_key_has_no_id() -> None:
    """An empty line is a mistake, not a tenant."""
    assert 2 == CliRunner().invoke(canary, ["tenant"], input="\n").exit_code


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["start", "m"], "Missing option '--application'"),
        (["start", "m", "--application", "a", "--percent", "101"], "101.0 is not in the range 0<=x<=100"),
        (["start", "m", "--application", "a", "--percent", "nan"], "nan is not in the range 0<=x<=100"),
        (["start", "m", "--application", "a", "--shadow-percent", "nan"], "nan is not in the range 0<=x<=100"),
        (["start", "m", "--application", "a", "--min-requests", "many"], "'many' is not a valid integer"),
        (["start", "m", "--application", "a", "--tenant", "sk-secret"], "must be an API key's id, of 16 hexadecimal"),
        (["promote"], "Missing argument 'MODEL'"),
    ],
)
def test_wrong_usage_is_told_before_any_cluster_is_asked(words: list[str], message: str) -> None:
    """Exit code 2, and the option's name or value."""
    done = CliRunner().invoke(canary, words)
    assert (2, True) == (done.exit_code, message in done.stderr), done.stderr
