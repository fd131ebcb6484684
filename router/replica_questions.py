"""Asking a replica's engine something beside the path of a token."""

import logging
from collections.abc import Mapping

import aiohttp
import orjson

from router.bodies import encode_object
from router.replicas import Replica

logger = logging.getLogger("enginehouse.router")

_TIMEOUT_S = 5.0


async def ask_replica(
    replica: Replica, route: str, question: Mapping[str, object], session: aiohttp.ClientSession, what: str
) -> dict[str, object]:
    """The engine's answer, where that is a JSON object; empty where it has none. `what` is for the log: "count ..."."""
    try:
        async with session.post(
            f"http://{replica.host}:{replica.port}{route}",
            data=encode_object(question),
            headers={"authorization": f"Bearer {replica.secret}", "content-type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        ) as response:
            document = orjson.loads(await response.read()) if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
        logger.warning("replica %s did not %s: %s", replica.replica_id, what, error)
        return {}
    return document if isinstance(document, dict) else {}
