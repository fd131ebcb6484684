"""What counts of what routers and engines said."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from deployments.load.board import (
    WISH_S,
    Board,
    BoardReader,
    Living,
    read_figures_of,
    read_wish,
    read_words,
    write_figures,
    write_wish,
    write_word,
)
from router.load.first_tokens import FirstTokens
from router.load.report import RouterLoad
from router.replicas.registry import Figures


def test_a_word_that_is_not_repeated_is_forgotten() -> None:
    """A router that was killed leaves its last word behind; nobody is kept awake by it."""
    living: Living[tuple[int, int]] = Living(max_age_s=5.0)
    living.hear({"a": (1, 7), "b": (1, 7)}, 0.0)
    living.hear({"a": (1, 7), "b": (2, 7)}, 4.0)
    assert ({"a": (1, 7), "b": (2, 7)}, {"b": (2, 7)}) == (living.words(5.0), living.words(6.0))


def test_a_word_that_was_taken_back_is_gone() -> None:
    """At the next look."""
    living: Living[int] = Living()
    living.hear({"a": 1}, 0.0)
    living.hear({}, 0.5)
    assert {} == living.words(0.5)


@dataclass
class Cluster:
    """Says what it is told to say. `wish` is what its routers were told last; None where that was nothing."""

    figures: Mapping[str, Figures] = field(default_factory=dict)
    routers: Mapping[str, tuple[int, RouterLoad]] = field(default_factory=dict)
    wish: frozenset[str] | None = None

    def wish_for(self, applications: frozenset[str]) -> None:
        self.wish = applications

    def read(self, replica_ids: Sequence[str]) -> Board:
        return Board({one: self.figures[one] for one in replica_ids if one in self.figures}, self.routers)


def test_waiting_requests_of_all_routers_are_added() -> None:
    """For the application that is asked for, and for no other."""
    cluster = Cluster(routers={"r1": (1, RouterLoad({"small": 2, "large": 1})), "r2": (5, RouterLoad({"small": 3}))})
    reader = BoardReader(cluster.read, cluster.wish_for)
    reader.look()
    assert (5, 1, 0) == tuple(reader.num_waiting(name) for name in ("small", "large", "other"))


def test_streams_of_all_routers_are_counted_together() -> None:
    """None where an application had no streams."""
    first, second = FirstTokens(1, 2.0), FirstTokens(1, 4.0)
    cluster = Cluster(
        routers={"r1": (1, RouterLoad({}, {"small": first})), "r2": (1, RouterLoad({}, {"small": second}))}
    )
    reader = BoardReader(cluster.read, cluster.wish_for)
    reader.look()
    assert (FirstTokens(2, 3.0), None) == (reader.first_tokens("small"), reader.first_tokens("large"))


def test_routers_tell_how_streams_begin_while_a_policy_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its application alone; a wish that an earlier controller left behind is taken back."""
    monkeypatch.setattr(BoardReader, "_start", lambda _: None)  # only the test reads
    cluster, now = Cluster(wish=frozenset({"other"})), [0.0]
    reader = BoardReader(cluster.read, cluster.wish_for, lambda: now[0])
    wishes = []
    reader.num_waiting("large")
    for asks, now[0] in ((False, 0.0), (True, 1.0), (False, 1.0 + WISH_S), (False, 1.5 + WISH_S)):
        if asks:
            reader.first_tokens("small")
        reader.look()
        wishes.append(cluster.wish)
    assert [set(), {"small"}, {"small"}, set()] == wishes


def test_wishes_are_read_as_they_were_written() -> None:
    """Where there has been none yet, it is for nothing."""
    assert [{"a", "b"}, set(), set()] == [
        read_wish(one) for one in (write_wish({"b", "a"}), write_wish(frozenset()), None)
    ]


def test_only_the_replicas_that_run_are_heard() -> None:
    """What others said, or were, does not count."""
    figures = {"a": Figures(1, 2, 0, None), "gone": Figures(9, 9, 9, None)}
    cluster = Cluster(figures=figures)
    reader = BoardReader(cluster.read, cluster.wish_for)
    reader.figures_of("small", ["a", "gone"])
    reader.figures_of("small", ["a", "new"])
    reader.look()
    assert [figures["a"]] == reader.figures_of("small", ["a", "new"])


def test_words_are_read_as_they_were_written() -> None:
    """All that is in them."""
    load = RouterLoad({"small": 2}, {"large": FirstTokens(3, 1.5)})
    assert {"r1": (7, load)} == read_words({"r1": write_word(7, load)})


def test_words_of_other_versions_are_left_out() -> None:
    """A router that is long dead may have left one behind: the others' words count."""
    load = RouterLoad({"small": 2})
    others = (b'[1, {"small": 1}]', b'[1, {}, {"small": [1, 2.0, 3]}]', b"[1, {}, 5]", b"7", b"not JSON", b"")
    words = {f"other{number}": word for number, word in enumerate(others)}
    assert {"r1": (1, load)} == read_words({**words, "r1": write_word(1, load)})


def test_figures_of_other_versions_are_left_out() -> None:
    """A router that could not read one replica's would otherwise hear of none, from then on."""
    figures = Figures(3, 2, 1, 0.5)
    others = (b"[1, 2, 3, 0.5, 4]", b"[1]", b"7", b"not JSON", b"")
    words = {f"other{number}": word for number, word in enumerate(others)}
    assert {"r1": figures} == read_figures_of({**words, "r1": write_figures(figures)})


def test_a_failure_ends_nothing() -> None:
    """Whatever it is: the board is read on."""
    cluster = Cluster(routers={"r1": (1, RouterLoad({"small": 2}))})
    failures = [ValueError("nobody thought of it")]

    def read(replica_ids: Sequence[str]) -> Board:
        if failures:
            raise failures.pop()
        return cluster.read(replica_ids)

    reader = BoardReader(read, cluster.wish_for)
    deadline = time.monotonic() + 60
    while not reader.num_waiting("small") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 2 == reader.num_waiting("small")
