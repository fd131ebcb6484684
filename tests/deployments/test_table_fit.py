"""deployments.table_fit: what is told of a table in force, as the engines change."""

from collections.abc import Sequence

from configs.finding import Problem
from configs.router import RouterUserConfig
from deployments.table_fit import TableFit
from router.models.table import RefusedTable

TABLE = RouterUserConfig.model_validate({"models": {"m": {"application": "a", "adapter": "sql"}}})
MISSING = Problem(("models", "m", "adapter"), "the application 'a' has no LoRA adapter 'sql'")
REASON = "models.m.adapter: the application 'a' has no LoRA adapter 'sql'"


class Serve:
    """What it would say of a table at each look, and what the router tells of it."""

    def __init__(self, *looks: Sequence[Problem] | None) -> None:
        self.looks = list(looks)
        self.told: list[str | None] = []
        self.fit = TableFit(self.tell, self.look)

    async def look(self, config: RouterUserConfig) -> Sequence[Problem] | None:
        assert config is TABLE
        return self.looks.pop(0)

    def tell(self, unfit: RefusedTable | None) -> None:
        assert unfit is None or unfit.is_in_force
        self.told.append(None if unfit is None else unfit.reason)

    async def told_after_all_looks(self) -> list[str | None]:
        self.fit.take_over(TABLE)
        while self.looks:
            await self.fit.step()
        return self.told


async def test_a_first_table_that_does_not_fit_is_told_once() -> None:
    """However often it is looked at."""
    assert [REASON] == await Serve([MISSING], [MISSING]).told_after_all_looks()


async def test_an_engine_that_loses_what_the_table_asks_for_is_told() -> None:
    """And that it has it again."""
    assert [REASON, None] == await Serve([], [MISSING], []).told_after_all_looks()


async def test_nothing_changes_while_nobody_can_say() -> None:
    """Serve's controller restarts, say."""
    assert [REASON] == await Serve([MISSING], None).told_after_all_looks()


async def test_a_new_table_is_looked_at_anew() -> None:
    """What was told of the one before was taken back with it."""
    serve = Serve([MISSING], [MISSING])
    serve.fit.take_over(TABLE)
    await serve.fit.step()
    serve.fit.take_over(TABLE)
    await serve.fit.step()
    assert [REASON, REASON] == serve.told
