"""router.canary.backends: which backend a session gets."""

from dataclasses import replace

from router.canary.backends import Backend, rank

A, B, C = Backend("a", weight=6), Backend("b", weight=3), Backend("c", weight=1)
KEYS = [number * 0x9E3779B97F4A7C15 % (1 << 64) for number in range(20_000)]


def homes(*backends: Backend) -> list[str]:
    return [rank(backends, key)[0].label for key in KEYS]


def test_each_backend_has_its_share() -> None:
    """Weights of 6, 3 and 1 are shares of 60, 30 and 10 percent, to within one."""
    found = homes(A, B, C)
    assert {"a": 60, "b": 30, "c": 10} == {name: round(found.count(name) / len(KEYS) * 100) for name in "abc"}


def test_the_order_of_the_file_does_not_matter() -> None:
    """A session has the same backends, in the same order, by every router."""
    assert [rank((A, B, C), key) for key in KEYS[:100]] == [rank((C, A, B), key) for key in KEYS[:100]]


def test_a_backend_that_grows_takes_and_nothing_else_moves() -> None:
    """Whoever has another backend after that has the one that grew."""
    before, after = homes(A, B, C), homes(A, B, replace(C, weight=4))
    assert {("a", "c"), ("b", "c")} == {moved for moved in zip(before, after, strict=True) if moved[0] != moved[1]}


def test_scaling_all_weights_moves_nothing() -> None:
    """Only the ratio of weights counts."""
    assert homes(A, B, C) == homes(*(replace(one, weight=one.weight / 10) for one in (A, B, C)))


def test_a_weight_of_zero_is_asked_last() -> None:
    """It takes no session, and is there when the others are not."""
    idle = replace(B, weight=0)
    assert {"a", "c"} == set(homes(A, idle, C))
    assert {"b"} == {rank((A, idle, C), key)[-1].label for key in KEYS[:100]}


def test_who_does_not_stand_by_is_asked_by_its_own_sessions_only() -> None:
    """A canary is no spare part for the others; they are for it."""
    canary = replace(C, stands_by=False)
    ranked = [[one.label for one in rank((A, canary), key)] for key in KEYS[:1000]]
    assert [["a"], ["c", "a"]] == sorted(map(list, {tuple(one) for one in ranked}))


def test_a_tenant_has_its_backend() -> None:
    """Whatever the session and the weights say."""
    own = replace(C, weight=0, tenants=frozenset({"0123456789abcdef"}))
    assert {"c"} == {rank((A, B, own), key, "0123456789abcdef")[0].label for key in KEYS[:100]}
    assert {"a", "b"} == {rank((A, B, own), key, "fedcba9876543210")[0].label for key in KEYS[:100]}


def test_a_label_names_the_adapter() -> None:
    """Two adapters of one application are two backends."""
    assert ["app", "app/sql"] == [Backend("app").label, Backend("app", "sql").label]
