"""`deployments/swap_report.py`: what is told of turns, while Ray's head answers and while it does not."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import orjson
import pytest

from deployments import swap_report
from deployments.engines.swap.engine import Swap
from deployments.swap_report import SwapReport
from router.metrics import AWAKE, STARTING, Metric

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


class Sink:
    """Keeps what gauges were told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Metric, float]] = []

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:  # noqa: ARG002 - every sink's signature
        if metric.kind == "gauge":
            self.told.append((metric, value))

    def record_all(self, metric: Metric, values: Sequence[float], labels: dict[str, str]) -> None: ...


class Head:
    """Ray's: it keeps notes, and answers nobody while it is away."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.asked: list[str] = []
        self.notes: dict[str, str] = {}

    def put_note(self, key: str, value: bytes) -> bool:
        state = orjson.loads(value)["state"]
        self.asked.append(state)
        self.is_there.wait(10)
        self.notes[key] = state
        return True

    def forget_notes(self, key: str) -> None:
        self.notes.pop(key, None)


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Head:
    made = Head()
    monkeypatch.setattr(swap_report, "put_note", made.put_note)
    monkeypatch.setattr(swap_report, "forget_notes", made.forget_notes)
    return made


async def test_nobody_waits_for_the_head(head: Head, eventually: Eventually) -> None:
    """The replica's streams go on while it is away; once it is back it hears the newest state, and none in between."""
    report = SwapReport(Sink(), {"model": "m", "replica": "r"}, "g", "app")
    report.swapped(Swap(is_awake=True, took_s=1.0, before_s=1.0))
    await eventually(lambda: head.asked == ["awake"])
    report.swapped(Swap(is_awake=False, took_s=1.0, before_s=1.0))
    report.swapped(Swap(is_awake=True, took_s=1.0, before_s=1.0))
    report.swapped(Swap(is_awake=False, took_s=1.0, before_s=1.0))
    assert {} == head.notes
    head.is_there.set()
    await eventually(lambda: head.notes == {"swap:app:r": "asleep"})
    assert ["awake", "asleep"] == head.asked


async def test_one_that_is_no_more_leaves_no_note(head: Head) -> None:
    """Also where the last one was still on its way."""
    report = SwapReport(Sink(), {"model": "m", "replica": "r"}, "g", "app")
    report.swapped(Swap(is_awake=True, took_s=1.0, before_s=1.0))
    await asyncio.sleep(0)
    closing = asyncio.create_task(report.close())
    head.is_there.set()
    await closing
    assert {} == head.notes


async def test_gauges_are_told_again_and_again(
    head: Head, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray forgets what is told once: a start of minutes would be seen for seconds. After the end nothing is told."""
    monkeypatch.setattr(swap_report, "REPEAT_S", 0)
    head.is_there.set()
    sink = Sink()
    report = SwapReport(sink, {"model": "m", "replica": "r"}, "g", "app")
    report.starts()
    await eventually(lambda: sink.told.count((STARTING, 1.0)) > 2)
    report.swapped(Swap(is_awake=True, took_s=1.0, before_s=1.0))
    sink.told.clear()
    await eventually(lambda: len(sink.told) > 4)
    assert {(AWAKE, 1.0), (STARTING, 0.0)} == set(sink.told)
    await report.close()
    assert [(AWAKE, 0.0), (STARTING, 0.0)] == sink.told[-2:]
    num_told = len(sink.told)
    for _ in range(3):
        await asyncio.sleep(0)
    assert num_told == len(sink.told)
