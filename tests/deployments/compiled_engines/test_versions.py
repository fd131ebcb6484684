"""Which versions build."""

import pytest

from deployments.compiled_engines.versions import builds_engines, order


def test_versions_are_in_the_order_of_pep_440() -> None:
    """Development, alpha, beta, candidate, final, post."""
    ordered = ["1.2.1", "1.3.0.dev1", "1.3.0a1", "1.3.0b2", "1.3.0rc3.dev7", "1.3.0rc3", "1.3.0rc20", "1.3.0rc20.post1"]
    ordered += ["1.3.0rc21", "1.3.0", "1.3.0.post1", "1.10.0"]

    backwards = ordered[::-1]
    assert ordered == sorted(backwards, key=order)


def test_trailing_zeros_and_local_parts_do_not_count() -> None:
    """1.2 is 1.2.0, and a build of one's own is still that version."""
    assert order("1.2.0+cu13") == order("1.2")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("0.21.0", True), ("1.2.1", True), ("1.3.0rc20", True), ("1.3.0rc21", False), ("1.4.0rc1", False)],
)
def test_the_last_that_builds_is_a_candidate(version: str, *, expected: bool) -> None:
    """1.3.0rc20, by its release notes."""
    assert expected == builds_engines(version)


def test_what_is_no_version_is_told() -> None:
    """It is not guessed."""
    with pytest.raises(ValueError, match="'main' is not a version"):
        builds_engines("main")
