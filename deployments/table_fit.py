"""Whether the model table that a router serves by fits the engines, also once those have changed."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from configs.finding import Problem, key_path_text
from configs.router import RouterUserConfig
from deployments.new_table import misfits
from router.models.table import RefusedTable

logger = logging.getLogger("enginehouse.router")

PAUSE_S = 1.0
"""Between a change and the look, in seconds: what belongs to one deployment comes a moment apart, and counts as one."""


class TableFit:
    """
    Of one router, on Serve's event loop. A router's first table is taken as it is, for it has no other; and engines may
    lose later what the table asks of them. Neither is refused, so it is told.

    Args:
        tell: called with what does not fit, or with None once all does, when that has changed.
        look: what does not fit in a table; None where nobody can say.
    """

    def __init__(
        self,
        tell: Callable[[RefusedTable | None], None],
        look: Callable[[RouterUserConfig], Awaitable[Sequence[Problem] | None]] = misfits,
    ) -> None:
        self._tell = tell
        self._look = look
        self._config: RouterUserConfig | None = None
        self._reason = ""
        self._changed = asyncio.Event()

    def take_over(self, config: RouterUserConfig) -> None:
        """A new table, of which nothing is told yet."""
        self._config, self._reason = config, ""
        self._changed.set()

    def engines_changed(self) -> None:
        """A replica has come or gone."""
        self._changed.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(PAUSE_S)
            self._changed.clear()
            await self.step()

    async def step(self) -> None:
        """Look once."""
        config = self._config
        problems = None if config is None else await self._look(config)
        if problems is None or config is not self._config:  # a newer table is looked at by itself
            return
        reason = "\n".join(f"{key_path_text(each.path)}: {each.message}" for each in problems)
        if reason == self._reason:
            return
        self._reason = reason
        if reason:
            logger.error("the model table in force does not fit the engines that there are: %s", reason)
        self._tell(RefusedTable(time.time(), reason, is_in_force=True) if reason else None)
