"""Asking a replica's engine something beside the path of a token."""

import logging
from collections.abc import Mapping

import aiohttp
import orjson

from router.bodies import encode_object
from router.profiles import PROFILES
from router.replicas import Replica

logger = logging.getLogger("enginehouse.router")

_TIMEOUT_S = 5.0
_CLIENTS_MISTAKES = (400, 422)
"""Statuses that say that the question is at fault. Others of 400 and above are the router's, or the engine's."""


async def ask_replica(
    replica: Replica, route: str, question: Mapping[str, object], session: aiohttp.ClientSession, what: str
) -> dict[str, object]:
    """The engine's answer, where that is a JSON object; empty where it has none. `what` is for the log: "count ..."."""
    status, body = await _post(replica, route, question, session, what)
    return _object_in(body, replica, what) if status == 200 else {}


async def ask_for_client(
    replica: Replica, route: str, question: Mapping[str, object], session: aiohttp.ClientSession, what: str
) -> dict[str, object]:
    """
    The same of a client's own question.

    Raises:
        InvalidRequest: the engine finds a mistake in it.
    """
    status, body = await _post(replica, route, question, session, what)
    if status in _CLIENTS_MISTAKES:
        raise PROFILES[replica.profile].read_error(status, body)
    return _object_in(body, replica, what) if status == 200 else {}


async def _post(
    replica: Replica, route: str, question: Mapping[str, object], session: aiohttp.ClientSession, what: str
) -> tuple[int, bytes]:
    """The status, 0 where there is no answer, and the body."""
    try:
        async with session.post(
            f"http://{replica.host}:{replica.port}{route}",
            data=encode_object(question),
            headers={"authorization": f"Bearer {replica.secret}", "content-type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        ) as response:
            return response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        logger.warning("replica %s did not %s: %s", replica.replica_id, what, error)
        return 0, b""


def _object_in(body: bytes, replica: Replica, what: str) -> dict[str, object]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        logger.warning("replica %s did not %s: %s", replica.replica_id, what, error)
        return {}
    return document if isinstance(document, dict) else {}
