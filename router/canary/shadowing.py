"""
Copies of requests to a shadow, whose answers are compared with what clients got, and thrown away.

The client's request never waits for its copy, and does not notice how that goes. A copy is dropped where too many are
under way or the shadow has enough to do; it ends when its client leaves, or after its time.
"""

import asyncio
import logging
import random

from router.call import Account, Call
from router.canary.copying import Copy, Result
from router.canary.hearing import Heard, Listening
from router.canary.shadow import Shadow
from router.errors import ServingError
from router.http.answer import AnswerSink
from router.http.event_stream import Usage
from router.merging.merged import RequestMaking
from router.merging.merged import making_of as making_for_client
from router.models.table import Model
from router.replicas.registry import Replica, pick_replica
from router.state import RouterState

logger = logging.getLogger("enginehouse.router")


def making_of(
    state: RouterState, call: Call, model: Model, answer: AnswerSink, account: Account, request_id: bytes
) -> RequestMaking:
    """What makes the answer to a call, beside which a copy may be under way."""
    shadow = model.shadow
    if shadow is None or not _is_copied(shadow, call, model):
        return making_for_client(state, call, model, answer, account, request_id)
    replica = _idle_replica(state, shadow)
    copy = Copy(state, call, model, shadow, replica, b"shadow-" + request_id)
    if replica is None:
        copy.count("dropped")
        return making_for_client(state, call, model, answer, account, request_id)
    heard = Heard(state.loop.time)
    making = making_for_client(state, call, model, Listening(answer, heard), account, request_id)
    return _Copied(making, heard, copy, replica)


def _is_copied(shadow: Shadow, call: Call, model: Model) -> bool:
    if call.route.task != "generate" or model.backend_at(model.applications[0]).label == shadow.backend.label:
        return False
    return random.random() < shadow.ratio  # noqa: S311 - a sample, no secret


def _idle_replica(state: RouterState, shadow: Shadow) -> Replica | None:
    """One that has room for a copy; None where none has, clients wait for it, or enough copies are under way."""
    application = shadow.backend.application
    if sum(tally_id == shadow.tally_id for tally_id in state.shadows.values()) >= shadow.max_running:
        return None
    if state.lanes.num_waiting()[application]:
        return None
    now = state.loop.time()
    replica = pick_replica(state.directory.of(application), (), now, state.next_turn())
    if replica is None or replica.blocked_until > now or replica.is_saturated:
        return None
    return None if replica.num_slots is not None and replica.load >= replica.num_slots else replica


class _Copied:
    """A `RequestMaking` beside which a copy is under way."""

    def __init__(self, making: RequestMaking, heard: Heard, copy: Copy, replica: Replica) -> None:
        self._making = making
        self._heard = heard
        self._copy = copy
        self._replica = replica

    @property
    def keeps_usage(self) -> bool:
        return self._making.keeps_usage

    @keeps_usage.setter
    def keeps_usage(self, keeps: bool) -> None:
        self._making.keeps_usage = keeps

    @property
    def usage(self) -> Usage | None:
        return self._making.usage

    @property
    def replica(self) -> Replica | None:
        return self._making.replica

    @property
    def is_pausing(self) -> bool:
        return self._making.is_pausing

    async def run(self) -> None:
        """As that of the client's own."""
        state = self._copy.state
        client: asyncio.Future[Result] = state.loop.create_future()
        copying = state.loop.create_task(_copying(self._copy, self._replica, client))
        state.shadows[copying] = self._copy.shadow.tally_id
        copying.add_done_callback(state.shadows.pop)
        began_at, error = state.loop.time(), None
        try:
            await self._making.run()
        except ServingError as failure:
            error = failure
            raise
        except BaseException:
            copying.cancel()  # nobody is left to be compared with
            self._copy.count("uncompared")
            raise
        finally:
            if not client.done():
                client.set_result(Result(error, self._heard, self._making.usage, began_at))


async def _copying(copy: Copy, replica: Replica, client: "asyncio.Future[Result]") -> None:
    try:
        answered = await copy.answer(replica)
        copy.compare(await client, answered)
    except Exception:
        logger.exception("a copy of a request of the model %r failed in the router", copy.model.name)
