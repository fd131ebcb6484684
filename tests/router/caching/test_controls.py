"""What a request's headers say of the cache."""

import pytest

from router.caching.controls import DEFAULT, Controls, read_controls
from router.errors import InvalidRequest


def controls(**headers: str) -> Controls:
    return read_controls(
        {"headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]}
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, DEFAULT),
        ({"accept": "x"}, DEFAULT),
        ({"cache_control": "no-cache"}, Controls(may_read=False)),
        ({"cache_control": "No-Store"}, Controls(may_read=False, may_write=False)),
        ({"cache_control": "max-age=60, private"}, Controls(max_age_s=60)),
        ({"cache_control": "max-age=soon"}, DEFAULT),
        ({"x_enginehouse_cache": "on"}, Controls(is_wanted=True)),
        ({"x_enginehouse_cache": "off"}, Controls(is_wanted=False)),
        ({"x_enginehouse_cache_namespace": "eval-7"}, Controls(namespace="eval-7")),
    ],
)
def test_headers_are_read(headers: dict[str, str], expected: Controls) -> None:
    """What is not understood in `cache-control` is passed over."""
    assert expected == controls(**headers)


@pytest.mark.parametrize(
    "headers",
    [{"x_enginehouse_cache": "yes"}, {"x_enginehouse_cache_namespace": "a b"}, {"x_enginehouse_cache_namespace": ""}],
)
def test_our_own_headers_are_held_to_their_values(headers: dict[str, str]) -> None:
    """A client that says something we do not understand shall know; the header is named."""
    with pytest.raises(InvalidRequest) as refused:
        controls(**headers)
    assert next(iter(headers)).replace("_", "-") == refused.value.param
