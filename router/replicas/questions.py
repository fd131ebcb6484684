"""Asking a replica's engine something beside the path of a token."""

import logging
from collections.abc import Mapping

import aiohttp
import orjson

from router.errors import EngineUnavailable, ModelDoesNotSupport
from router.fitting.profiles import PROFILES
from router.http.bodies import encode_object
from router.replicas.registry import Replica

logger = logging.getLogger("enginehouse.router")

_TIMEOUT_S = 5.0


async def ask_replica(
    replica: Replica, route: str, question: Mapping[str, object], session: aiohttp.ClientSession, what: str
) -> dict[str, object]:
    """The engine's answer, where that is a JSON object; empty where it has none. `what` is for the log: "count ..."."""
    try:
        status, body = await _post(replica, route, question, session)
        document = orjson.loads(body) if status == 200 else None
    except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
        logger.warning("replica %s did not %s: %s", replica.replica_id, what, error)
        return {}
    return document if isinstance(document, dict) else {}


async def demand_of_replica(
    replica: Replica, route: str, question: Mapping[str, object], session: aiohttp.ClientSession
) -> dict[str, object]:
    """
    The engine's answer, for a client who gets nothing without it.

    Raises:
        ModelDoesNotSupport: the engine has no such route.
        EngineUnavailable: it does not answer.
        ServingError: it refused, in its own words.
    """
    try:
        status, body = await _post(replica, route, question, session)
    except (aiohttp.ClientError, TimeoutError) as error:
        logger.warning("replica %s did not answer at %s: %r", replica.replica_id, route, error)
        raise EngineUnavailable(f"The engine does not answer at {route}.", retry_after_s=1) from None
    if status in (404, 405):
        raise ModelDoesNotSupport(f"The engine of this model has no {route}.", param="model")
    if status != 200:
        raise PROFILES[replica.profile].read_error(status, body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    return document if isinstance(document, dict) else {}


async def _post(
    replica: Replica, route: str, question: Mapping[str, object], session: aiohttp.ClientSession
) -> tuple[int, bytes]:
    async with session.post(
        f"http://{replica.host}:{replica.port}{route}",
        data=encode_object(question),
        headers={"authorization": f"Bearer {replica.secret}", "content-type": "application/json"},
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
    ) as response:
        return response.status, await response.read()
