"""A broken stream's second life: what is kept of it, whether it may go on, and what another engine is asked."""

import logging

from router.call import Call
from router.errors import ServingError
from router.exchange import TokenMeter
from router.fitting.profiles import PROFILES
from router.http.answer import AnswerSink
from router.http.event_stream import Usage
from router.metrics import RESUMES
from router.models.table import Model
from router.reliability.continuation import Continuation
from router.reliability.resuming import Said, may_resume, read_said, rest_of
from router.replicas.questions import ask_replica
from router.replicas.registry import Replica
from router.routing.limits import fit_unsaid
from router.state import RouterState

logger = logging.getLogger("enginehouse.router")


class Resumption:
    """Of one generation. While its stream is not broken, this keeps what was said, and does nothing else."""

    def __init__(self, state: RouterState, call: Call, model: Model, answer: AnswerSink) -> None:
        self._state = state
        self._call = call
        self._policy = model.reliability.resume
        self._model = model
        self._answer = answer
        self.kept: list[bytes] | None = [] if self._policy.enabled and may_resume(call) else None
        """What the client has of the stream, where it may be resumed: takes whatever is passed on."""
        self._num_measured = self._num_bytes = 0
        self._num_resumes = 0
        self._labels: dict[str, str] = {}
        self._said: Said | None = None
        self._broken: ServingError | None = None
        self._rest: Continuation | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether the stream has broken: what is still asked for is its rest."""
        return self._said is not None

    @property
    def is_pausing(self) -> bool:
        """Whether the stream has broken, and does not go on yet."""
        return self._said is not None and (self._rest is None or not self._rest.has_content)

    @property
    def usage(self) -> Usage | None:
        """Of all parts together; None where the last of them has not said its own."""
        return None if self._rest is None else self._rest.usage

    def measure(self) -> None:
        """To be called now and then: keeps no more than the policy allows."""
        if self.kept is None:
            return
        self._num_bytes += sum(map(len, self.kept[self._num_measured :]))
        self._num_measured = len(self.kept)
        if self._num_bytes > self._policy.max_kept_bytes:
            self.kept = None
            if self._rest is not None:
                self._rest.kept = None

    def broken_by(self, failure: ServingError, replica: Replica, labels: dict[str, str]) -> ServingError:
        """
        The stream of `replica` broke, or its attempt at the rest failed. What the client is told if nobody goes on.

        Raises:
            ServingError: that, where nobody can.
        """
        if self._broken is not None and self.is_pausing:
            logger.warning("the rest of a stream of %r was not given: %s", self._model.name, failure)
            if failure.status < 500:
                raise self._broken
            self._broken.is_final = True
            return self._broken
        self._broken = failure
        self._num_resumes += 1
        failure.is_final = self._num_resumes > 1
        self.measure()
        if failure.status < 500 or self.kept is None or self._num_resumes > self._policy.max_resumes:
            raise failure
        if not any(map(_can_go_on, (replica, *self._state.directory.of(*self._model.applications)))):
            raise failure
        self._said, self._rest = read_said(b"".join(self.kept)), None
        if self._said is None:
            raise failure
        self._labels = labels
        return failure

    def cannot_ask(self, replica: Replica) -> bool:
        """Whether a replica's engine cannot go on with what another one has begun."""
        return self.is_under_way and not _can_go_on(replica)

    async def rest_from(self, replica: Replica, *, keeps_usage: bool) -> tuple[Call, Continuation]:
        """
        The request for the rest, and who takes it.

        Raises:
            ServingError: what broke the stream, where this engine cannot go on with it.
        """
        said, kept = self._said, self.kept
        if said is None or kept is None or self._broken is None:
            raise RuntimeError("nothing is broken")
        num_tokens = await self._count(said.text, replica) if said.text else 0
        if 0 < num_tokens < said.num_events and said.text.rstrip() != said.text:
            said = said.owing_blanks()
            num_tokens = await self._count(said.text, replica) if said.text else 0
        num_tokens = max(said.num_events - len(said.owed), num_tokens)
        profile = PROFILES[replica.profile]
        rest = rest_of(fit_unsaid(self._call, self._model, profile), said, num_tokens, profile)
        if rest is None:
            raise self._broken
        logger.warning(
            "a stream of %r is resumed after %d events, for it broke on replica %s: %s",
            self._labels["model"], said.num_events, self._labels["replica"], self._broken,
        )  # fmt: skip
        self._state.sink.record(RESUMES, 1, {**self._labels, "reason": self._broken.code})
        wants_usage = self._call.wants_usage or keeps_usage
        self._rest = Continuation(self._answer, said, num_tokens, rest, kept, wants_usage=wants_usage)
        return rest.call, self._rest

    async def _count(self, text: str, replica: Replica) -> int:
        """The text's tokens, by the engine's own tokeniser; 0 where it does not say."""
        question = {
            "model": self._model.adapter or replica.model,
            "prompt": text, "add_special_tokens": False,  # vLLM's names
            "content": text, "add_special": False,  # llama.cpp's
        }  # fmt: skip
        answer = await ask_replica(
            replica, "/tokenize", question, self._state.session, "count a broken stream's tokens"
        )
        tokens = answer.get("tokens")
        return len(tokens) if isinstance(tokens, list) else 0


def _can_go_on(replica: Replica) -> bool:
    return PROFILES[replica.profile].continues_by is not None


class LaterMeter:
    """That of a stream's rest: its first token came long before."""

    def __init__(self, meter: TokenMeter) -> None:
        self._meter = meter

    def first_token(self) -> None:
        """Not the client's."""

    def next_token(self, gap_s: float) -> None:
        self._meter.next_token(gap_s)
