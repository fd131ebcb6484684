"""One generation that several clients follow, each from its first token, however late it came."""

import asyncio
from collections.abc import Callable

from router.call import Account
from router.errors import ClientDisconnected, ServingError
from router.http.answer import Answer
from router.http.event_stream import EventStream


class SharedAccount(Account):
    """That of a generation, while each of its clients has an account of its own."""

    def first_token(self) -> None:
        """Each client has its own first token."""


class Follower:
    """One client of a flight."""

    def __init__(self, answer: Answer, account: Account, loop: asyncio.AbstractEventLoop, *, wants_usage: bool) -> None:
        self.answer = answer
        self.is_full = False
        self.ended: asyncio.Future[None] = loop.create_future()
        self._account = account
        self._filter = None if wants_usage else EventStream(wants_usage=False)

    def give_up(self, now: float, stall_timeout_s: float) -> None:
        """End it if its client has taken nothing for too long. `now` is loop time."""
        full_since = self.answer.full_since
        if full_since is not None and now - full_since > stall_timeout_s:
            self.end(ClientDisconnected())

    def write(self, data: bytes, *, is_last: bool) -> None:
        passed = data if self._filter is None else self._filter.feed(data)
        if passed and not self.answer.has_content:
            self._account.first_token()
        if passed or is_last:
            self.answer.start_stream()
            self.answer.write(passed, is_last=is_last)

    def end(self, error: BaseException | None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


class Flight:
    """
    Takes an engine's answer, and hands it to all who follow.

    The engine is slowed down only when all of them are slower than it is. What has been said is remembered for those
    who come later, up to `max_kept_bytes`; beyond that nobody can join any more, and `kept` is None.
    """

    unread = None

    def __init__(self, loop: asyncio.AbstractEventLoop, account: Account, max_kept_bytes: int) -> None:
        self.account = account
        self._loop = loop
        self._max_kept_bytes = max_kept_bytes
        self._parts: list[bytes] = []
        self._num_bytes = 0
        self._followers: list[Follower] = []
        self.on_full: Callable[[], None] | None = None
        self.on_drained: Callable[[], None] | None = None
        self.full_since: float | None = None
        self.status: int | None = None
        self.is_stream = False
        self.has_content = False
        self.is_complete = False
        self.is_joinable = True

    @property
    def num_followers(self) -> int:
        return len(self._followers)

    @property
    def num_bytes(self) -> int:
        """Of what was said until now."""
        return self._num_bytes

    @property
    def said(self) -> bytes | None:
        """Everything that was said until now; None where that is too much."""
        return b"".join(self._parts) if self.is_joinable else None

    @property
    def kept(self) -> bytes | None:
        """Everything that was said, once it is complete; None where that is too much."""
        return self.said if self.is_complete else None

    def join(self, answer: Answer, account: Account, *, wants_usage: bool) -> Follower:
        """Hand `answer` what was said so far, and from now on what comes."""
        follower = Follower(answer, account, self._loop, wants_usage=wants_usage)
        self._followers.append(follower)
        answer.on_full = lambda: self._filled(follower)
        answer.on_drained = lambda: self._emptied(follower)
        if self._parts:
            follower.write(b"".join(self._parts), is_last=False)
        return follower

    def leave(self, follower: Follower) -> None:
        follower.answer.on_full = follower.answer.on_drained = None
        if follower in self._followers:
            self._followers.remove(follower)
            self._balance()

    # what the engine's side calls

    def start_stream(self) -> None:
        self.status, self.is_stream = 200, True
        for follower in self._followers:
            follower.answer.start_stream()

    def write(self, data: bytes, *, is_last: bool) -> None:
        self.is_complete = is_last
        if data:
            self.has_content = True
            self._remember(data)
        for follower in tuple(self._followers):
            follower.write(data, is_last=is_last)

    def send_whole(self, status: int, body: bytes) -> None:
        self.status, self.has_content, self.is_complete = status, True, True
        self._remember(body)
        for follower in tuple(self._followers):
            follower.answer.send_whole(status, body)

    def end(self, error: ServingError | ClientDisconnected | None) -> None:
        """It is over for everybody."""
        self.is_joinable = self.is_joinable and error is None
        for follower in tuple(self._followers):
            follower.end(error)

    # pace

    def _remember(self, data: bytes) -> None:
        self._num_bytes += len(data)
        if self._num_bytes > self._max_kept_bytes:
            self.is_joinable = False
            self._parts.clear()
        if self.is_joinable:
            self._parts.append(data)

    def _filled(self, follower: Follower) -> None:
        follower.is_full = True
        self._balance()

    def _emptied(self, follower: Follower) -> None:
        follower.is_full = False
        self._balance()

    def _balance(self) -> None:
        is_full = bool(self._followers) and all(follower.is_full for follower in self._followers)
        if is_full and self.full_since is None:
            self.full_since = self._loop.time()
            if self.on_full is not None:
                self.on_full()
        elif not is_full and self.full_since is not None:
            self.full_since = None
            if self.on_drained is not None:
                self.on_drained()
