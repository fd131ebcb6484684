"""The door for other routers: what is being made here, from its beginning, to whoever may follow it."""

import asyncio
import hmac
import logging

from router.caching.flight import Flight, Follower, SharedAccount
from router.caching.place import Place, read_flight_path
from router.caching.shared_answers import SharedAnswers
from router.errors import ClientDisconnected, InvalidApiKey, MethodNotAllowed, RouteNotFound, ServingError
from router.http.answer import Answer
from router.http.asgi import WRITE_CHUNK, Receive, Scope, Send, header
from router.http.departure import Departure
from router.listener import Listener, ListenError, bind
from router.state import RouterState

logger = logging.getLogger("enginehouse.router")


class PeerDoor:
    """
    An ASGI app. Peers are known by the token of this router's place, which it tells in its signed leases only.

    A peer gets the answer as the engine's, with its usage. One that breaks is cut for it, without an error event: it
    has means of its own to go on.
    """

    def __init__(self, state: RouterState, shared: SharedAnswers) -> None:
        self.state = state
        self._shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = Answer(send, [], self.state.loop, scope.get("extensions", {}).get(WRITE_CHUNK))
        try:
            flight = await self._find(scope)
            await receive()  # the body, which there is none of
            await _Visit(self.state, self._shared, flight, answer, receive).serve()
        except ServingError as error:
            if answer.status is None:
                answer.fail(error)
        except ClientDisconnected:
            pass
        except Exception:
            logger.exception("a peer's request failed in the router")
        await answer.drained()

    async def _find(self, scope: Scope) -> Flight:
        place = self._shared.place
        given = header(scope, b"authorization") or b""
        if place is None or not hmac.compare_digest(given, f"Bearer {place.token}".encode()):
            raise InvalidApiKey("This door is for other routers of the house.")
        if scope["method"] != "GET":
            raise MethodNotAllowed("Only GET.")
        wanted = read_flight_path(scope["path"])
        flight = None if wanted is None else await self._shared.under_way(*wanted)
        if flight is None:
            raise RouteNotFound("This answer is not being made here.")
        return flight


class _Visit:
    """One peer that follows one flight."""

    def __init__(
        self, state: RouterState, shared: SharedAnswers, flight: Flight, answer: Answer, receive: Receive
    ) -> None:
        self._state = state
        self._shared = shared
        self._flight = flight
        self._answer = answer
        self._departure = Departure(receive, answer)
        self._follower: Follower | None = None

    def tick(self, now: float) -> None:
        """Called twice a second while it lasts. `now` is loop time, in seconds."""
        if self._follower is not None:
            self._follower.give_up(now, self._state.table.requests.stall_timeout_s)

    async def serve(self) -> None:
        """
        Raises:
            ServingError: the answer failed.
            ClientDisconnected: the peer has left, or takes nothing.
        """
        state = self._state
        account = SharedAccount(state.sink, state.loop.time(), state.loop.time, "")
        state.generations.add(self)
        self._departure.watch()
        self._follower = follower = self._flight.join(self._answer, account, wants_usage=True)
        try:
            await follower.ended
        except asyncio.CancelledError:
            if not self._departure.has_left:
                raise
            raise ClientDisconnected from None
        finally:
            state.generations.discard(self)
            self._departure.stop()
            self._shared.leave(self._flight, follower)


async def open_peer_door(state: RouterState, host: str) -> Listener | None:
    """
    Let other routers follow what is made here, on a free port of `host`, an address of this node.

    None where no other router shares the store, or where the address cannot be listened on: then this router and the
    others each make their own answers, as they do without it.
    """
    shared = state.shared_answers
    if shared is None or not shared.has_peers:
        return None
    try:
        listening = bind(state.listener.model_copy(update={"host": host, "port": 0}))
    except (ListenError, OSError) as error:
        logger.warning("other routers cannot follow the answers that are made here: %s", error)
        return None
    listener = Listener(PeerDoor(state, shared), listening)
    await listener.start()
    shared.place = Place.open(state.router_id, host, listening.getsockname()[1])
    return listener
