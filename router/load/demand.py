"""
What this router's clients want of applications that do not serve them: for whoever decides how many replicas there are.

Routers reach the engines by themselves, so nobody else can know of requests that reach no engine.
"""

import asyncio
from collections import Counter

from router.errors import EngineOverloaded
from router.models.table import Model

REMEMBERED_S = 2.0
"""How long it is remembered that a request went elsewhere, in seconds: longer than the span between two looks."""


class Demand:
    """Belongs to one event loop; `now` may be called from others."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[object, str] = {}
        self._missed_at: dict[str, float] = {}

    def enter(self, who: object, model: Model) -> None:
        """
        `who` waits for the first replica of the model's own application, until it leaves. It may enter again.

        Raises:
            EngineOverloaded: as many as may wait for a model that wakes do so already.
        """
        application = model.applications[0]
        if who not in self._waiting and model.wake is not None:
            num_waiting = sum(other == application for other in self._waiting.values())
            if num_waiting >= model.wake.max_waiting:
                raise EngineOverloaded(
                    f"The model {model.name!r} is waking up, and {num_waiting} requests wait for it already.",
                    retry_after_s=5,
                )
        self._waiting[who] = application

    def leave(self, who: object) -> None:
        """Whether it waited or not."""
        self._waiting.pop(who, None)

    def missed(self, application: str) -> None:
        """Something wanted this application, and is served by another or does not wait by itself."""
        self._missed_at[application] = self._loop.time()

    def now(self) -> Counter[str]:
        """Requests that want each application now; those that went elsewhere count as one."""
        oldest = self._loop.time() - REMEMBERED_S
        wanted = Counter(dict.fromkeys((name for name, at in list(self._missed_at.items()) if at >= oldest), 1))
        return wanted | Counter(list(self._waiting.values()))
