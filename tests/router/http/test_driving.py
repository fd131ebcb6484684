"""router.http.driving: coroutines that callbacks drive."""

import asyncio
from collections.abc import Coroutine

from polling import eventually

from router.http.driving import Driver

Outcome = tuple[object, BaseException | None]


def driven(coroutine: Coroutine[object, object, object]) -> tuple[Driver, list[Outcome]]:
    """A driver of `coroutine`, and the list of what it was told at the end."""
    outcomes: list[Outcome] = []
    return Driver(coroutine, lambda result, error: outcomes.append((result, error))), outcomes


async def waited_for(future: "asyncio.Future[str]") -> str:
    return await future


async def test_a_coroutine_that_never_waits_ends_at_its_first_step() -> None:
    """This is the path of a token: no entry of the event loop."""

    async def at_once() -> str:
        return "done"

    driver, outcomes = driven(at_once())
    driver.step()
    assert [("done", None)] == outcomes


async def test_a_future_is_waited_for() -> None:
    """The coroutine goes on with the future's result, once it has one."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    driver, outcomes = driven(waited_for(future))
    driver.step()
    assert [] == outcomes
    future.set_result("late")
    await eventually(lambda: outcomes)
    assert [("late", None)] == outcomes


async def test_a_future_that_fails_raises_in_the_coroutine() -> None:
    """The error reaches `then` when the coroutine does not handle it."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    driver, outcomes = driven(waited_for(future))
    driver.step()
    future.set_exception(OSError("broken"))
    await eventually(lambda: outcomes)
    [(result, error)] = outcomes
    assert result is None
    assert "broken" == str(error)


async def test_a_future_that_is_cancelled_raises_in_the_coroutine() -> None:
    """Cancelling what is waited for ends the coroutine as it would end a task."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    driver, outcomes = driven(waited_for(future))
    driver.step()
    future.cancel()
    await eventually(lambda: outcomes)
    assert isinstance(outcomes[0][1], asyncio.CancelledError)


async def test_a_bare_yield_gives_way_once() -> None:
    """`asyncio.sleep(0)` is a bare yield, and no future."""
    driver, outcomes = driven(asyncio.sleep(0, "rested"))
    driver.step()
    assert [] == outcomes
    await eventually(lambda: outcomes)
    assert [("rested", None)] == outcomes


async def test_asyncio_events_can_be_awaited() -> None:
    """A server's `send()` waits for an event while its client's socket is full."""
    event = asyncio.Event()
    driver, outcomes = driven(event.wait())
    driver.step()
    event.set()
    await eventually(lambda: outcomes)
    assert [(True, None)] == outcomes


async def test_a_step_made_by_somebody_else_is_taken_over() -> None:
    """`wait_for` goes on behind the future that the first step yielded."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    coroutine = waited_for(future)
    driver, outcomes = driven(coroutine)
    driver.wait_for(coroutine.send(None))
    future.set_result("late")
    await eventually(lambda: outcomes)
    assert [("late", None)] == outcomes


async def test_closing_while_waiting_ends_the_coroutine_unheard() -> None:
    """Its `finally` runs; `then` is not called, not even when the future ends afterwards."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    cleaned_up = []

    async def careful() -> None:
        try:
            await future
        finally:
            cleaned_up.append("cleaned up")

    driver, outcomes = driven(careful())
    driver.step()
    driver.close()
    assert ["cleaned up"] == cleaned_up
    future.set_result("late")
    await asyncio.sleep(0)
    assert [] == outcomes


async def test_closing_when_the_next_step_is_already_due_is_unheard() -> None:
    """The future is done and its callback is queued when the driver is closed."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    driver, outcomes = driven(waited_for(future))
    driver.step()
    future.set_result("in time")
    driver.close()
    await asyncio.sleep(0)
    assert [] == outcomes


async def test_closing_within_a_bare_yield_is_unheard() -> None:
    """The next step is queued when the driver is closed."""
    driver, outcomes = driven(asyncio.sleep(0))
    driver.step()
    driver.close()
    await asyncio.sleep(0)
    assert [] == outcomes
