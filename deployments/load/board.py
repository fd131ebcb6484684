"""
What routers and engines say of their load, as Serve's controller sees it.

The controller asks the scaling policies ten times a second, on its event loop, and nothing there may wait for an
answer. So a thread of its own reads for all policies of the process.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from typing import Generic, TypeVar

import orjson

from router.load.first_tokens import FirstTokens, together
from router.load.report import RouterLoad
from router.replicas.registry import MAX_FIGURES_AGE_S, Figures

logger = logging.getLogger("ray.serve")

INTERVAL_S = 0.5
"""How often the board is read, in seconds."""
WISH_S = 10.0
"""How long after a policy's last question routers are to tell how an application's streams begin, in seconds."""

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Board:
    """
    Everything that was said, by who said it.

    `figures` are the replicas', by replica id; `routers` is what routers see, by router id, with a number that grows
    each time.
    """

    figures: Mapping[str, Figures] = field(default_factory=dict)
    routers: Mapping[str, tuple[int, RouterLoad]] = field(default_factory=dict)


def write_word(number: int, load: RouterLoad) -> bytes:
    """A router's, as `read_words` reads it."""
    first_tokens = {name: astuple(word) for name, word in load.first_tokens.items()}
    return orjson.dumps([number, load.demand, first_tokens])


def write_figures(figures: Figures) -> bytes:
    """A replica's, as `read_figures_of` reads them."""
    return orjson.dumps(astuple(figures))


def read_figures_of(words: Mapping[str, bytes]) -> dict[str, Figures]:
    """By replica id. Those of replicas of another version are left out: an update has both for a while."""
    read = {}
    for replica_id, word in words.items():
        with suppress(ValueError, TypeError):
            read[replica_id] = Figures(*orjson.loads(word))
    return read


def write_wish(applications: Iterable[str]) -> bytes:
    """Of which applications routers are to tell how their streams begin, as `read_wish` reads it."""
    return orjson.dumps(sorted(applications))


def read_wish(wish: bytes | None) -> frozenset[str]:
    """Nothing where no policy has ever said anything, or one of another version."""
    with suppress(ValueError, TypeError):
        return frozenset(orjson.loads(wish or b"[]"))
    return frozenset()


def read_words(words: Mapping[str, bytes]) -> dict[str, tuple[int, RouterLoad]]:
    """Those of routers of another version, which may be long dead, are left out."""
    read = {}
    for router_id, word in words.items():
        with suppress(ValueError, TypeError, AttributeError):
            number, demand, first_tokens = orjson.loads(word)
            began = {name: FirstTokens(*told) for name, told in first_tokens.items()}
            read[router_id] = number, RouterLoad(demand, began)
    return read


class Living(Generic[T]):
    """Of words that are repeated while they hold, those that were repeated lately: the dead leave theirs behind."""

    def __init__(self, max_age_s: float = MAX_FIGURES_AGE_S) -> None:
        self._max_age_s = max_age_s
        self._heard: dict[str, tuple[T, float]] = {}

    def hear(self, said: Mapping[str, T], now: float) -> None:
        """All words of now. One that is equal to the one before it is not a new one."""
        before = self._heard
        self._heard = {
            who: before[who] if who in before and before[who][0] == word else (word, now) for who, word in said.items()
        }

    def words(self, now: float) -> dict[str, T]:
        return {who: word for who, (word, at) in self._heard.items() if now - at <= self._max_age_s}


class BoardReader:
    """
    Reads the board while somebody asks for it.

    Args:
        read: what the replicas with these ids say, and all routers. Raises RayError where the cluster's head does not
            answer.
        wish: lets the routers know of which applications they are to tell how their streams begin: they do not unless
            a policy asks. Raises as `read` does.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        read: Callable[[Sequence[str]], Board],
        wish: Callable[[frozenset[str]], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._wish = wish
        self._now = now
        self._wished: frozenset[str] | None = None  # an earlier controller may have wished for something
        self._asked_at: dict[str, float] = {}
        self._asked_for: dict[str, Sequence[str]] = {}
        self._figures: Living[Figures] = Living()
        self._routers: Living[tuple[int, RouterLoad]] = Living()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def figures_of(self, application: str, replica_ids: Sequence[str]) -> list[Figures]:
        """What those of an application's running replicas say that said something lately; nothing of new ones yet."""
        self._start()
        with self._lock:
            self._asked_for[application] = replica_ids
            figures = self._figures.words(self._now())
        return [figures[one] for one in replica_ids if one in figures]

    def num_waiting(self, application: str) -> int:
        """Requests at all routers that want an application and are served by none of its replicas."""
        return sum(load.demand.get(application, 0) for load in self._loads())

    def first_tokens(self, application: str) -> FirstTokens | None:
        """
        How an application's streams began lately, at all routers together; None where none did.

        Routers tell it from two or three seconds after the first question on, and no longer once nobody asks.
        """
        with self._lock:
            self._asked_at[application] = self._now()
        return together(load.first_tokens[application] for load in self._loads() if application in load.first_tokens)

    def _loads(self) -> list[RouterLoad]:
        self._start()
        with self._lock:
            words = self._routers.words(self._now())
        return [load for _, load in words.values()]

    def look(self) -> None:
        """Read once."""
        with self._lock:
            asked_for = [one for replica_ids in self._asked_for.values() for one in replica_ids]
            oldest = self._now() - WISH_S
            wished = frozenset(name for name, at in self._asked_at.items() if at >= oldest)
        if wished != self._wished:
            self._wish(wished)
            self._wished = wished
        board = self._read(asked_for)
        with self._lock:
            now = self._now()
            self._figures.hear(board.figures, now)
            self._routers.hear(board.routers, now)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._look_for_ever, name="enginehouse-load-board", daemon=True)
            self._thread.start()

    def _look_for_ever(self) -> None:
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - without this thread no model would wake or grow any more
                # What was heard last becomes too old, and then nothing is decided.
                logger.warning("the load of engines and routers could not be read: %r", error)
            time.sleep(INTERVAL_S)
