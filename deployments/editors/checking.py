"""Whether clients work with a router: each one's first requests, and what became of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from deployments.editors.asking import Ask
from deployments.editors.client import Client, Setup
from deployments.editors.step import Answer, Fault, Skip, Step


class Outcome(Enum):
    PASSED = "pass"
    LIMITED = "limit"
    """The router did right, and the model is too small for this."""
    SKIPPED = "skip"
    """The cluster has no model for this."""
    FAULTY = "FAULT"


@dataclass(slots=True, frozen=True)
class Report:
    """What became of one request. `reason` is empty where it passed."""

    client: str
    title: str
    outcome: Outcome
    reason: str = ""


def check(client: Client, setup: Setup, ask: Ask) -> Iterator[Report]:
    """One report for each of the client's first requests, as they are answered."""
    for step in client.first_requests(setup):
        if isinstance(step, Skip):
            yield Report(client.name, step.title, Outcome.SKIPPED, step.reason)
            continue
        outcome, reason = _try(client, step, ask)
        yield Report(client.name, step.title, outcome, reason)


def _try(client: Client, step: Step, ask: Ask) -> tuple[Outcome, str]:
    try:
        answer = ask(step)
    except Fault as fault:
        return Outcome.FAULTY, str(fault)
    if _is_too_long(step, answer):
        context = f"a context of {step.max_model_len} tokens" if step.max_model_len else "a shorter context"
        return Outcome.LIMITED, f"this takes some {step.num_tokens} tokens, and {step.model} has {context}"
    try:
        for rule in step.rules:
            rule(answer)
    except Fault as fault:
        meaning = client.meanings.get(answer.status)
        return Outcome.FAULTY, f"{fault} ({meaning})" if meaning else str(fault)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        return Outcome.FAULTY, f"the answer has another shape than the client reads ({error!r}): {answer.shown}"
    return Outcome.PASSED, ""


def _is_too_long(step: Step, answer: Answer) -> bool:
    """Whether it was refused for its length, in words that the client knows, by a model that is smaller than it."""
    if not step.num_tokens or answer.status != 400 or step.max_model_len >= step.num_tokens * 2:
        return False
    try:
        error = answer.document["error"]
    except (Fault, KeyError, TypeError):  # of something in between, which the rules say
        return False
    if not isinstance(error, dict):
        return False
    return error.get("code") == "context_length_exceeded" or "too long" in str(error.get("message"))
