"""
Whether a router stays as it is: 300 concurrent streams for half an hour, its memory and its time to the first token.

    python -m bench.soak
    python -m bench.soak --minutes 5

Enginehouse on Ray Serve by its own listener, two simulated engines, one client. The exit code is 1 when an answer was
wrong, when the router's memory grew by 5 % or more after the warm-up, or when the time to the first token drifted.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.doors import DOORS
from bench.measure import Group, loading, mark
from bench.measured import quantile
from bench.process_tree import read_processes
from bench.scenarios import SOAK

MAX_GROWTH_RATIO = 0.05
MAX_DRIFT_RATIO = 0.25
MIN_DRIFT_MS = 5.0
"""A median that grew by less is the machine's noise, whatever that is in percent."""
WARM_UP_RATIO = 0.2
"""Share of the time in which pools, buffers and caches fill, and nothing is judged."""
SAMPLE_S = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. `at_s` is the time since the load began; `ttft_ms` are those of the answers since the look before."""

    at_s: float
    rss_bytes: int
    num_requests: int
    ttft_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first and the last third of what came after the warm-up, compared."""

    rss_bytes: tuple[float, float]
    ttft_ms: tuple[float, float]

    @property
    def growth_ratio(self) -> float:
        return self.rss_bytes[1] / self.rss_bytes[0] - 1

    @property
    def has_drifted(self) -> bool:
        before, after = self.ttft_ms
        return after - before > max(MIN_DRIFT_MS, before * MAX_DRIFT_RATIO)

    @property
    def is_steady(self) -> bool:
        return self.growth_ratio < MAX_GROWTH_RATIO and not self.has_drifted


def judge(samples: Sequence[Sample]) -> Verdict:
    """
    Raises:
        ValueError: there are not three samples after the warm-up.
    """
    judged = samples[int(len(samples) * WARM_UP_RATIO) :]
    num_third = len(judged) // 3
    if not num_third:
        raise ValueError("too short to be judged: there are fewer than three samples after the warm-up")
    first, last = judged[:num_third], judged[-num_third:]
    return Verdict((_rss(first), _rss(last)), (_ttft(first), _ttft(last)))


def _rss(samples: Iterable[Sample]) -> float:
    return statistics.median(sample.rss_bytes for sample in samples)


def _ttft(samples: Iterable[Sample]) -> float:
    return quantile([value for sample in samples for value in sample.ttft_ms], 0.5)


def rss_bytes(group: Group) -> int:
    """
    Resident memory of a group of processes, in bytes; pages that several share count in each.

    Source: proc_pid_status(5), VmRSS.
    """
    total_kib = 0
    for pid in group(read_processes()):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                total_kib += int(line.split()[1])
    return total_kib * 1024


def soak(seconds: float, console: Console) -> tuple[list[Sample], dict[str, int]]:
    """The samples, and the failed requests by reason."""
    door = next(door for door in DOORS if door.name == "own-listener")
    samples: list[Sample] = []
    errors: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as logs, door.start(SOAK.pace, Path(logs)) as started:
        router = started.groups["request path"]
        console.print(f"{SOAK.title}, for {seconds / 60:g} minutes; before the load {_mib(rss_bytes(router))}")
        with loading(SOAK, started.address) as client:
            time.sleep(SOAK.ramp_s)
            mark(client)
            began = time.monotonic()
            while (at_s := time.monotonic() - began) < seconds:
                time.sleep(min(SAMPLE_S, seconds - at_s))
                marked = mark(client)
                now_s = time.monotonic() - began
                samples.append(Sample(now_s, rss_bytes(router), marked.num_requests, tuple(marked.ttft_ms)))
                for reason, count in marked.errors.items():
                    errors[reason] = errors.get(reason, 0) + count
                console.print(_line(samples[-1]))
    return samples, errors


def _line(sample: Sample) -> str:
    p50, p99 = (quantile(sample.ttft_ms, ratio) for ratio in (0.5, 0.99))
    return (
        f"{sample.at_s:6.0f} s  {_mib(sample.rss_bytes)}  {sample.num_requests:5} requests"
        f"  TTFT p50 {p50:.0f} ms  p99 {p99:.0f} ms"
    )


def _mib(num_bytes: float) -> str:
    return f"{num_bytes / 2**20:.1f} MiB"


def report(samples: Sequence[Sample], verdict: Verdict, errors: dict[str, int], console: Console) -> None:
    table = Table("", "first third", "last third", "change", "allowed")
    before, after = verdict.rss_bytes
    table.add_row("router's memory", _mib(before), _mib(after), f"{verdict.growth_ratio:+.1%}", "+5.0%")
    before, after = verdict.ttft_ms
    allowed = f"+{max(MIN_DRIFT_MS, before * MAX_DRIFT_RATIO):.1f} ms"
    table.add_row("TTFT p50", f"{before:.1f} ms", f"{after:.1f} ms", f"{after - before:+.1f} ms", allowed)
    console.print(table)
    console.print(f"{sum(sample.num_requests for sample in samples)} requests, failed: {errors or 'none'}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the load is on (default: 30)")
    seconds = parser.parse_args().minutes * 60
    if seconds * (1 - WARM_UP_RATIO) < 4 * SAMPLE_S:
        parser.error("--minutes must be at least 1: shorter ones cannot be judged")
    console = Console()
    samples, errors = soak(seconds, console)
    verdict = judge(samples)
    report(samples, verdict, errors, console)
    return 0 if verdict.is_steady and not errors else 1


if __name__ == "__main__":
    sys.exit(main())
