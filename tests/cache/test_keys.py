import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cache.keys import Json, NotCacheable, canonical_json, make_key

_numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_fields = st.dictionaries(st.text(), _json, max_size=5)


def _meaning(value: Json) -> object:
    """What must be equal for two keys to be: told here without orjson, by Python's own equality of numbers."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return (type(value).__name__, value)
    if isinstance(value, int | float):
        return ("number", value)
    if isinstance(value, dict):
        return ("object", frozenset((name, _meaning(item)) for name, item in value.items()))
    return ("array", tuple(_meaning(item) for item in value))


def _reversed(value: Json) -> Json:
    """`value` with the fields of every object in the other order."""
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    if isinstance(value, list):
        return [_reversed(item) for item in value]
    return value


@given(_fields)
def test_the_order_of_fields_does_not_matter(fields: dict[str, Json]) -> None:
    """At any depth."""
    assert make_key(fields) == make_key(_reversed(fields))


@given(_json, _json)
def test_two_values_are_written_alike_when_they_mean_the_same(one: Json, other: Json) -> None:
    """And only then."""
    assert (_meaning(one) == _meaning(other)) == (canonical_json(one) == canonical_json(other))


@given(_fields, st.text(), _json, _json)
def test_any_other_value_of_a_field_is_another_key(fields: dict[str, Json], name: str, one: Json, other: Json) -> None:
    """One field is enough."""
    assume(_meaning(one) != _meaning(other))
    assert make_key(fields | {name: one}) != make_key(fields | {name: other})


@given(_fields, st.text(), _json)
def test_a_field_more_is_another_key(fields: dict[str, Json], name: str, value: Json) -> None:
    """Even one that is null."""
    assume(name not in fields)
    assert make_key(fields) != make_key(fields | {name: value})


@given(st.floats(-(2.0**63), 2.0**64, exclude_max=True).map(int))
@example(10**16)
@example(10**19)
@example(-(2**63))
def test_a_whole_number_may_be_written_as_a_float(number: int) -> None:
    """Clients in JavaScript and in Python write the same temperature differently."""
    assert make_key({"a": [number]}) == make_key({"a": [float(number)]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": True}, {"a": 1}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 0.1}, {"a": 0.10000000000000002}),
        ({"a": 2**53}, {"a": 2**53 + 1}),
        ({"a": None}, {}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": "1.0,"}, {"a": "1,"}),
        ({"a": []}, {"a": {}}),
    ],
)
def test_what_is_nearly_the_same_is_another_key(one: dict[str, Json], other: dict[str, Json]) -> None:
    """The pairs that a careless rule takes for one."""
    assert make_key(one).digest != make_key(other).digest


def test_another_group_is_another_key() -> None:
    """An answer of one namespace is never found from another."""
    assert make_key({"a": 1}, ("acme",)).digest != make_key({"a": 1}, ("bolt",)).digest


def test_a_key_is_the_same_in_every_version_that_says_so() -> None:
    """Whoever changes how keys are made finds out that the version must change too."""
    expected = "b55cf37d2ac5a1f69d5e4610d22a6a378b379a2106a9bcb51dab8c8c51c3f9d8"
    assert expected == make_key({"model": "m", "temperature": 0.0, "n": 1}, ("m", "acme")).digest.hex()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1, b"", {1}, {1: 2}, "\ud800"])
def test_what_is_no_json_has_no_key(value: Json) -> None:
    """A caller that asks for one is told, and asks the model instead."""
    with pytest.raises(NotCacheable):
        make_key({"a": [value]})
