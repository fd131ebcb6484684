"""router.errors: one tree, one mapping."""

import pickle
import re

import pytest

import router.errors
from router.errors import ServingError


def tree_of(error: type[ServingError], prefix: str = "") -> list[tuple[str, int, str, str, bool | None]]:
    """Every class from `error` down, with the branches drawn before its name as the docstring draws them."""
    rows = [(f"{prefix}{error.__name__}", error.status, error.type, error.code, error.should_retry)]
    children = error.__subclasses__()
    stem = prefix.replace("├─ ", "│  ").replace("└─ ", "   ")
    for child in children:
        rows += tree_of(child, stem + ("└─ " if child is children[-1] else "├─ "))
    return rows


def drawn() -> list[tuple[str, int, str, str, bool | None]]:
    """The tree in the module's docstring."""
    row = re.compile(r"^    (\S.*?\w) {2,}(\d+) (\w+) +(\w+)(?: +x-should-retry: (true|false))?$", re.MULTILINE)
    spoken = {"": None, "true": True, "false": False}
    return [
        (name, int(status), kind, code, spoken[retry])
        for name, status, kind, code, retry in row.findall(router.errors.__doc__ or "")
    ]


ERRORS = [name.split(" ")[-1] for name, *_ in tree_of(ServingError)]


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """Names, branches, statuses, types, codes and `x-should-retry`, in the order of the file."""
    assert tree_of(ServingError) == drawn()


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_survives_pickling(name: str) -> None:
    """An error that crosses a process keeps its class and all its fields."""
    error: ServingError = getattr(router.errors, name)("why", param="n", retry_after_s=1.5, from_engine=True)
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(error) is type(copied)
    assert ("why", "n", 1.5, True) == (copied.message, copied.param, copied.retry_after_s, copied.from_engine)
    assert "why" == str(copied)


@pytest.mark.parametrize("name", ERRORS)
def test_no_error_has_a_constructor_of_its_own(name: str) -> None:
    """A subclass sets class attributes and nothing else: that is what keeps it picklable."""
    error = getattr(router.errors, name)
    assert ServingError.__init__ is error.__init__


def test_codes_are_unique() -> None:
    """A client can tell every two errors apart by their code."""
    codes = [code for _, _, _, code, _ in tree_of(ServingError)]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("name", ERRORS)
def test_no_status_is_422(name: str) -> None:
    """Copilot shows a 422 as a content filter's verdict."""
    assert 422 != getattr(router.errors, name).status
