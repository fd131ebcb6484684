"""How work that clients wait for ended, as what to tell them."""

import logging
from collections.abc import Awaitable

from router.errors import ClientDisconnected, ServingError

logger = logging.getLogger("enginehouse.router")


async def outcome_of(work: Awaitable[None], name: str) -> ServingError | ClientDisconnected | None:
    """What `work` raised, None where that is nothing. A fault of the router's own goes to the log, under `name`."""
    try:
        await work
    except (ServingError, ClientDisconnected) as failure:
        return failure
    except Exception:
        logger.exception("%s failed in the router", name)
        return ServingError("The router failed on this request; its log says why.")
    return None
