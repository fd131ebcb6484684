"""
One request for embeddings among others that are asked as one.

    gather -> ask the engine and count each text's tokens -> split -> whoever got nothing asks alone
"""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from router.attempts import Attempts
from router.caching.flight import SharedAccount
from router.caching.shared_answers import Making
from router.call import Account, Call
from router.errors import EngineOverloaded, ServingError
from router.fitting.profiles import PROFILES
from router.http.answer import AnswerSink
from router.http.bodies import encode_object
from router.http.event_stream import Usage
from router.merging.counting import count_texts
from router.merging.inputs import InputKind, Inputs, mergeable_inputs
from router.merging.splitting import MergedAnswer, NotSplittable
from router.metrics import MERGED_INPUTS
from router.models.table import Model
from router.replicas.registry import Replica, pick_replica
from router.state import RouterState

logger = logging.getLogger("enginehouse.router")


CALLS_PER_REPLICA = 2
"""Calls that a replica is answering while requests gather. With one, the engine is idle while the router and the
clients deal with its answer: docs/explanation/measurements.md."""


@dataclass(slots=True, frozen=True)
class _Request:
    """One client's request, and where its answer goes."""

    state: RouterState
    call: Call
    model: Model
    answer: AnswerSink
    account: Account
    request_id: bytes

    def attempts(self) -> Attempts:
        return Attempts(self.state, self.call, self.model, self.answer, self.account, self.request_id)


class RequestMaking(Making, Protocol):
    keeps_usage: bool
    """Whether a stream ends with its usage although the call does not ask for that."""


def making_of(
    state: RouterState, call: Call, model: Model, answer: AnswerSink, account: Account, request_id: bytes
) -> RequestMaking:
    """What makes the answer to a call: attempts of its own, or its part in a call that is merged of several."""
    request = _Request(state, call, model, answer, account, request_id)
    inputs = mergeable_inputs(call.body, model.merging) if call.route.task == "embed" else None
    if inputs is None:
        return request.attempts()
    replicas = state.directory.of(model.applications[0])
    if not replicas or not all(_can_merge(replica, inputs, state) for replica in replicas):
        return request.attempts()
    return Merged(request, inputs)


def _can_merge(replica: Replica, inputs: Inputs, state: RouterState) -> bool:
    if replica.task != "embed" or inputs.kind not in PROFILES[replica.profile].merges:
        return False
    return replica.fingerprint not in state.gatherings.uncounted


class Merged:
    """A request that is asked together with others when there are any."""

    keeps_usage = False

    def __init__(self, request: _Request, inputs: Inputs) -> None:
        self.inputs = inputs
        self._request = request
        self._attempts: Attempts | None = None
        self._usage: Usage | None = None
        self._replica: Replica | None = None
        self._is_answered = False
        self._has_left = False

    @property
    def usage(self) -> Usage | None:
        return self._usage if self._attempts is None else self._attempts.usage

    @property
    def replica(self) -> Replica | None:
        return self._replica if self._attempts is None else self._attempts.replica

    @property
    def is_pausing(self) -> bool:
        """Vectors are not streamed."""
        return False

    async def run(self) -> None:
        """
        Returns when the answer is over.

        Raises:
            ServingError: there is none.
            ClientDisconnected: nobody takes it any more.
        """
        state, model = self._request.state, self._request.model
        num_places = CALLS_PER_REPLICA * len(state.directory.of(model.applications[0]))
        try:
            await state.gatherings.join(self._key(), self, model.merging, num_places, _ask)
        except asyncio.CancelledError:
            self._has_left = True
            raise
        if not self._is_answered:
            await self._ask_alone()

    def _key(self) -> Hashable:
        """What requests must have in common: everything but the inputs."""
        model, body, priority = self._request.model, self._request.call.body, self._request.call.lane.priority
        fields = tuple((name, body[name]) for name in sorted(body) if name not in ("input", "model"))
        return (model.name, model.applications, model.adapter, self.inputs.kind, priority, fields)

    async def _ask_alone(self) -> None:
        self._is_answered = True
        self._attempts = self._request.attempts()
        await self._attempts.run()

    def _take(self, body: bytes, num_tokens: int, call: "_MergedCall") -> None:
        if self._has_left:
            return
        self._is_answered = True
        self._usage, self._replica = Usage(num_tokens, 0), call.attempts.replica
        self._request.account.labels.update(call.account.labels)
        self._request.answer.send_whole(200, body)


async def _ask(members: Sequence[Merged]) -> None:
    """One call for all of them. Those who get nothing by it are left to ask alone, so that a bad input fails alone."""
    first = members[0]._request  # noqa: SLF001 - one of us
    if len(members) == 1:
        await members[0]._ask_alone()  # noqa: SLF001
        first.state.sink.record(MERGED_INPUTS, len(members[0].inputs.items), first.account.labels)
        return
    call = _MergedCall(first, [item for member in members for item in member.inputs.items], members[0].inputs.kind)
    answer, counts = await call.ask()
    if answer is None or counts is None:
        return
    place = 0
    for member in members:
        own = counts[place : place + len(member.inputs.items)]
        member._take(answer.part(place, own), sum(own), call)  # noqa: SLF001
        place += len(own)


class _MergedCall:
    """All inputs of several requests, in one. `first` lends it everything else."""

    def __init__(self, first: _Request, items: list[object], kind: InputKind) -> None:
        state, call = first.state, first.call
        self.account = SharedAccount(state.sink, first.account.arrived_at, state.loop.time, call.route.path)
        self._state = state
        self._model = first.model
        self._items = items
        self._kind = kind
        self._collected = _Collected()
        body = {**call.body, "input": items}
        merged = replace(call, body=body, raw=encode_object(body))
        self.attempts = Attempts(state, merged, first.model, self._collected, self.account, first.request_id)

    async def ask(self) -> tuple[MergedAnswer | None, list[int] | None]:
        """
        The answer, and the tokens of each input; None where there is none that can be split, or no count.

        Raises:
            EngineOverloaded: each of the inputs alone would only add to that.
        """
        counting = asyncio.ensure_future(self._count())
        try:
            await self.attempts.run()
            counts = await counting
        except EngineOverloaded:
            raise
        except ServingError as error:
            logger.info("a call for %d inputs is asked again, each request alone: %s", len(self._items), error)
            return None, None
        finally:
            counting.cancel()
        self._state.sink.record(MERGED_INPUTS, len(self._items), self.account.labels)
        return self._checked(counts)

    def _checked(self, counts: list[int] | None) -> tuple[MergedAnswer | None, list[int] | None]:
        try:
            answer = MergedAnswer(self._collected.body, len(self._items))
        except NotSplittable as error:
            logger.warning("the answer to a call for %d inputs is of no use: %s", len(self._items), error)
            return None, None
        if counts is not None and sum(counts) != answer.num_tokens:
            self._rest(sum(counts), answer.num_tokens)
            return None, None
        return answer, counts

    def _rest(self, num_counted: int, num_tokens: int) -> None:
        replica = self.attempts.replica
        assert replica is not None  # noqa: S101 - it has answered
        self._state.gatherings.uncounted.add(replica.fingerprint)
        logger.warning(
            "requests for the model %r are no longer merged: its engine read %d tokens where %d were counted",
            self._model.name, num_tokens, num_counted,
        )  # fmt: skip

    async def _count(self) -> list[int] | None:
        if self._kind == "tokens":
            return [len(item) for item in self._items if isinstance(item, list)]
        replicas = self._state.directory.of(self._model.applications[0])
        replica = pick_replica(replicas, (), self._state.loop.time(), 0)
        return None if replica is None else await count_texts(self._items, replica, self._state.session)


class _Collected:
    """Takes a whole answer."""

    on_full: Callable[[], None] | None = None
    on_drained: Callable[[], None] | None = None
    full_since: float | None = None
    unread = None

    def __init__(self) -> None:
        self.status: int | None = None
        self.body = b""

    @property
    def has_content(self) -> bool:
        return bool(self.body)

    @property
    def is_complete(self) -> bool:
        return bool(self.body)

    def start_stream(self) -> None:
        """Vectors are not streamed."""

    def write(self, data: bytes, *, is_last: bool) -> None:
        """As above."""

    def send_whole(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body
