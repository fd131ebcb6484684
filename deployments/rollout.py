"""How far a deployment has come: Serve's status and the replicas' phases, put into words. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far one application has come."""

    DEPLOYING = "deploying"
    RUNNING = "running"
    FAILED = "failed"
    UNHEALTHY = "unhealthy"


_STAGES = {
    "RUNNING": Stage.RUNNING,
    "DEPLOY_FAILED": Stage.FAILED,
    "UNHEALTHY": Stage.UNHEALTHY,
}


@dataclass(slots=True, frozen=True)
class Progress:
    """One application on its way. `detail` is one line for a person; `reason` is why it failed, in full."""

    application: str
    stage: Stage
    detail: str
    reason: str = ""


def read_progress(
    application: str,
    status: str,
    message: str,
    phases: Mapping[str, str],
    why_nowhere: Callable[[], str | None] = lambda: None,
) -> Progress:
    """
    Args:
        application: its name.
        status: Serve's `ApplicationStatus`, by name.
        message: Serve's message with it.
        phases: what each replica said of itself, by replica id; `failed: ...` after an engine did not start.
        why_nowhere: why no node has room for a replica, where none has. Called only while none has a place, for the
            cluster has to be asked.
    """
    stage = _STAGES.get(status, Stage.DEPLOYING)
    failures = [phase.removeprefix("failed: ") for phase in phases.values() if phase.startswith("failed: ")]
    if stage is Stage.FAILED:
        return Progress(application, stage, "failed", failures[-1] if failures else _last_words(message))
    if stage is Stage.UNHEALTHY:
        return Progress(application, stage, "unhealthy", _last_words(message))
    if stage is Stage.RUNNING:
        return Progress(application, stage, "ready")
    return Progress(application, stage, _describe(phases, len(failures), why_nowhere))


def _describe(phases: Mapping[str, str], num_failures: int, why_nowhere: Callable[[], str | None]) -> str:
    current = [phase for phase in phases.values() if not phase.startswith("failed: ")]
    if not current:
        again = f", {_times(num_failures)} failed" if num_failures else ""
        nowhere = why_nowhere()
        return f"waiting for a place{again}{f': {nowhere}' if nowhere else ''}"
    # A long piece of work tells its progress as a phase of its own, between loading and warming.
    others = sorted(set(current) - {"starting", "loading", "warming", "ready"})
    counts = {phase: current.count(phase) for phase in ("starting", "loading", *others, "warming", "ready")}
    words = [f"{phase} ({count})" if count > 1 else phase for phase, count in counts.items() if count]
    return ", ".join(words) + (f", {_times(num_failures)} failed before" if num_failures else "")


def _times(number: int) -> str:
    return "1 start" if number == 1 else f"{number} starts"


def _last_words(message: str) -> str:
    """The cause at the end of Serve's message, which quotes a whole chain of tracebacks around it."""
    lines = [line for line in message.strip().splitlines() if line.strip()]
    for index in range(len(lines) - 1, -1, -1):
        name, colon, _ = lines[index].partition(": ")
        if colon and "." in name and " " not in name.strip():
            return "\n".join([lines[index].partition(": ")[2], *lines[index + 1 :]])
    return "\n".join(lines[-5:])


def is_settled(progress: Sequence[Progress], dispensable: Collection[str] = ()) -> bool:
    """
    Whether nothing is on its way any more: all is running, or something failed.

    Of the `dispensable` applications one may have failed while the others go on.
    """
    return bool(fatal(progress, dispensable)) or all(one.stage in (Stage.RUNNING, Stage.FAILED) for one in progress)


def fatal(progress: Sequence[Progress], dispensable: Collection[str]) -> list[Progress]:
    """The failures for which no fallback stands in."""
    return [one for one in progress if one.stage is Stage.FAILED and one.application not in dispensable]
