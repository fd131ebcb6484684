"""When a canary is to be aborted, and why. Pure."""

import math
from collections.abc import Callable, Mapping

from configs.backends import CanaryRule
from router.canary.tally import Course, Durations, Side, Tally


def reason_to_abort(rule: CanaryRule, sides: Mapping[Side, Course]) -> str | None:
    """
    A sentence with the figures, or None.

    Both what is recent and all since the beginning are looked at: a canary that breaks after a good day is seen by the
    one, one with few requests by the other. Nothing is concluded from fewer requests than `rule.min_requests` on
    either side, and nothing that chance may explain.
    """
    if not rule.enabled:
        return None
    views: tuple[tuple[str, Callable[[Course], Tally]], ...] = (
        ("in the last 10 minutes", lambda course: course.recent),
        ("since its start", lambda course: course.total),
    )
    for when, view in views:
        found = {side: view(course) for side, course in sides.items()}
        reason = _worse(rule, found.get("stable", Tally()), found.get("canary", Tally())) or _unlike(
            rule, found.get("shadow", Tally())
        )
        if reason is not None:
            return f"{when}, {reason}"
    return None


def _worse(rule: CanaryRule, stable: Tally, canary: Tally) -> str | None:
    if min(stable.num_answered, canary.num_answered) < rule.min_requests:
        return None
    if canary.error_ratio - stable.error_ratio - _error_doubt(stable, canary) > rule.max_error_ratio_increase:
        return (
            f"{canary.num_failed} of its {canary.num_answered} requests failed ({canary.error_ratio:.1%}), of the "
            f"others' {stable.num_answered} {stable.num_failed} ({stable.error_ratio:.1%})"
        )
    return _slower(
        "time to first token", rule.max_ttft_increase_ratio, rule.min_requests, stable.ttft_s, canary.ttft_s
    ) or _slower("time per output token", rule.max_tpot_increase_ratio, rule.min_requests, stable.tpot_s, canary.tpot_s)


def _error_doubt(stable: Tally, canary: Tally) -> float:
    """How much smaller the true difference of two shares of failures may be: two standard deviations."""
    variances = (each.error_ratio * (1 - each.error_ratio) / each.num_answered for each in (stable, canary))
    return 2 * math.sqrt(sum(variances))


def _slower(what: str, max_increase: float, min_requests: int, stable: Durations, canary: Durations) -> str | None:
    if min(stable.num, canary.num) < min_requests:
        return None
    surely, at_most = canary.quantile(0.5 - _doubt(canary.num)), stable.quantile(0.5 + _doubt(stable.num))
    own, others = canary.quantile(0.5), stable.quantile(0.5)
    if surely is None or at_most is None or own is None or others is None or surely <= at_most * (1 + max_increase):
        return None
    return f"its median {what} was {own * 1000:.3g} ms, the others' {others * 1000:.3g} ms"


def _doubt(num: int) -> float:
    """
    How far from the middle, as a part of all, the true median of so many durations may lie: two standard deviations.

    Medians of few durations differ by chance, and they are compared again each second.
    """
    return float(min(0.5, num**-0.5))


def _unlike(rule: CanaryRule, shadow: Tally) -> str | None:
    """By the answers to copied requests."""
    num_compared = parity_of(shadow)[1]
    num_equal = shadow.counts["equal"]
    if num_compared < rule.min_requests or num_equal >= rule.min_parity_ratio * num_compared:
        return None
    return f"{num_equal} of its {num_compared} answers to copied requests were equal in kind"


def parity_of(shadow: Tally) -> tuple[float, int]:
    """The share of compared answers that were equal in kind, 0 to 1, and how many were compared; 1 of none."""
    num_compared = shadow.counts["equal"] + shadow.counts["different"]
    return (shadow.counts["equal"] / num_compared if num_compared else 1.0), num_compared
