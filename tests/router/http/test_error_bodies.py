"""router.http.error_bodies: errors on the wire."""

import orjson
import pytest

from router.errors import EngineFailed, EngineOverloaded, InvalidRequest, ServingError
from router.http.error_bodies import error_body, error_event, error_headers


def test_the_body_is_openais_envelope() -> None:
    """Four fields, always all of them; `code` is a string."""
    assert {
        "error": {"message": "bad n", "type": "invalid_request_error", "param": "n", "code": "invalid_request"}
    } == orjson.loads(error_body(InvalidRequest("bad n", param="n")))


def test_a_field_that_says_nothing_is_null() -> None:
    """`param` is there even when no field is at fault."""
    assert orjson.loads(error_body(ServingError("oh")))["error"]["param"] is None


def test_the_event_is_the_body_as_one_event() -> None:
    """It is a whole event, and no `[DONE]` follows."""
    error = EngineFailed("gone\n\nreally")
    assert b"data: " + error_body(error) + b"\n\n" == error_event(error)
    assert 1 == error_event(error).count(b"\n\n")


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (InvalidRequest("x"), {"x-enginehouse-error-source": "router"}),
        (InvalidRequest("x", from_engine=True), {"x-enginehouse-error-source": "engine"}),
        (EngineFailed("x"), {"x-enginehouse-error-source": "router", "x-should-retry": "false"}),
        (EngineOverloaded("x", retry_after_s=5), {"x-enginehouse-error-source": "router", "retry-after": "5"}),
        (EngineOverloaded("x", retry_after_s=0.2), {"x-enginehouse-error-source": "router", "retry-after": "1"}),
        (EngineOverloaded("x", retry_after_s=1.2), {"x-enginehouse-error-source": "router", "retry-after": "2"}),
    ],
)
def test_headers(error: ServingError, headers: dict[str, str]) -> None:
    """Who found the fault, whether to retry, and when: whole seconds, at least 1."""
    assert headers == {name.decode(): value.decode() for name, value in error_headers(error)}
