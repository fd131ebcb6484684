import pytest

from configs.checks.positions import Position, YamlError, parse_yaml

TEXT = """\
a:
  - b: 1
    c: {d: 2}
base: &base {e: 3}
f:
  <<: *base
  g: 4
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ((), 1, 1),
        (("a",), 1, 1),
        (("a", 0), 2, 5),
        (("a", 0, "b"), 2, 5),
        (("a", 0, "c", "d"), 3, 9),
        (("f", "e"), 4, 14),
        (("f", "g"), 7, 3),
        (("a", 0, "missing"), 2, 5),
        (("a", 9), 1, 1),
        (("missing", "too"), 1, 1),
    ],
)
def test_a_path_is_where_its_key_is_written(path: tuple[str | int, ...], line: int, column: int) -> None:
    """A key's own place, through lists, flow mappings and merge keys; for what is missing, its nearest parent's."""
    assert Position(line, column) == parse_yaml(TEXT).position(path)


def test_the_value_is_what_serve_reads() -> None:
    """Anchors and merge keys are resolved as PyYAML's safe loader does."""
    assert {"a": [{"b": 1, "c": {"d": 2}}], "base": {"e": 3}, "f": {"e": 3, "g": 4}} == parse_yaml(TEXT).value


def test_every_repetition_of_a_key_is_a_duplicate() -> None:
    """A third key of one name is a duplicate too, and points back to the first."""
    duplicates = parse_yaml("a: {x: 1}\na: 2\na: 3\n").duplicates
    assert ((("a",), Position(2, 1), 1), (("a",), Position(3, 1), 1)) == duplicates


def test_keys_that_only_override_a_merge_are_no_duplicates() -> None:
    """What a mapping says itself takes the place of what it merges."""
    assert () == parse_yaml("base: &base {x: 1}\nb:\n  <<: *base\n  x: 2\n").duplicates


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!int x", "this is not a valid int"),
        ("a: !!timestamp x", "this is not a valid timestamp"),
        ("a: !!bool x", "this is not a valid bool"),
        ("a: !shell x", "could not determine a constructor for the tag '!shell'"),
        ("a: *b", "found undefined alias 'b'"),
        ("[" * 5000, "is nested too deeply"),
        ("a: \x00", "the character #x0000 is not allowed in YAML"),
    ],
)
def test_text_that_cannot_be_read_has_a_reason(text: str, message: str) -> None:
    """Every way to fail is one exception with a sentence."""
    with pytest.raises(YamlError) as caught:
        parse_yaml(text)
    assert message == str(caught.value)
