"""router.canary.verdict: when a canary is aborted, and why."""

from configs.backends import CanaryRule
from router.canary.tally import FAILED, Course, Sides, Tally
from router.canary.verdict import reason_to_abort

RULE = CanaryRule(min_requests=10)


def tally(num_ok: int, num_failed: int = 0, ttft_s: float = 0.1, tpot_s: float = 0.01) -> Tally:
    found = Tally()
    found.counts["ok"], found.counts[FAILED + "engine_failed"] = num_ok, num_failed
    for _ in range(num_ok):
        found.ttft_s.add(ttft_s)
        found.tpot_s.add(tpot_s)
    return found


def sides(stable: Tally, canary: Tally, recent: Tally | None = None) -> Sides:
    return {"stable": Course(stable, stable), "canary": Course(canary, canary if recent is None else recent)}


def compared(num_equal: int, num_different: int) -> Sides:
    found = Tally()
    found.counts["equal"], found.counts["different"] = num_equal, num_different
    return {"shadow": Course(found, found)}


def test_equals_go_on() -> None:
    """A canary that is as good, or better, is left alone."""
    assert reason_to_abort(RULE, sides(tally(100, 1), tally(20))) is None


def test_more_errors_than_the_others_end_it() -> None:
    """By more than the rule allows; the reason has both sides' figures."""
    assert (
        "in the last 10 minutes, 10 of its 40 requests failed (25.0%), of the others' 100 4 (4.0%)"
        == reason_to_abort(RULE, sides(tally(96, 4), tally(30, 10)))
    )


def test_errors_that_chance_may_explain_do_not() -> None:
    """Two of twenty are a tenth, and say little; twenty of two hundred are one, too, and say more."""
    assert reason_to_abort(RULE, sides(tally(1000), tally(18, 2))) is None
    assert reason_to_abort(RULE, sides(tally(1000), tally(180, 20))) is not None


def test_errors_that_the_others_have_too_do_not() -> None:
    """An outage of both is not the canary's."""
    assert reason_to_abort(RULE, sides(tally(50, 50), tally(10, 10))) is None


def test_few_requests_say_nothing() -> None:
    """On either side."""
    assert reason_to_abort(RULE, sides(tally(100), tally(0, 9))) is None
    assert reason_to_abort(RULE, sides(tally(9), tally(0, 90))) is None


def test_one_bad_request_more_than_the_minimum_is_enough() -> None:
    """The minimum is the first number from which something is concluded."""
    assert reason_to_abort(RULE, sides(tally(10), tally(0, 10))) is not None


def test_a_later_first_token_ends_it() -> None:
    """More than half as long again, by the medians."""
    assert reason_to_abort(RULE, sides(tally(20), tally(20, ttft_s=0.13))) is None
    assert "its median time to first token was" in (
        reason_to_abort(RULE, sides(tally(20), tally(20, ttft_s=0.2))) or ""
    )


def test_slower_tokens_end_it() -> None:
    """The same of the time per output token."""
    reason = reason_to_abort(RULE, sides(tally(20), tally(20, tpot_s=0.02)))
    assert "its median time per output token was" in (reason or "")


def test_what_chance_may_explain_does_not() -> None:
    """Medians of a few scattered times differ; of many, no more."""

    def scattered(num: int, factor: float) -> Tally:
        found = tally(0, 0)
        found.counts["ok"] = num
        for number in range(num):
            found.ttft_s.add(factor * (0.02 + 0.2 * number / num))
        return found

    few, many = (
        {"stable": Course(scattered(n, 1), Tally()), "canary": Course(scattered(n, 1.9), Tally())} for n in (16, 1000)
    )
    assert reason_to_abort(RULE, few) is None  # type: ignore[arg-type]
    assert "its median time to first token" in (reason_to_abort(RULE, many) or "")  # type: ignore[arg-type]


def test_a_canary_that_breaks_after_a_good_day_is_seen() -> None:
    """In what is recent, however little that is of all."""
    reason = reason_to_abort(RULE, sides(tally(9000), tally(1000, 10), recent=tally(10, 10)))
    assert "in the last 10 minutes, 10 of its 20 requests failed" in (reason or "")


def test_a_canary_with_few_requests_an_hour_is_seen() -> None:
    """In all since its start, where the last minutes are too few."""
    reason = reason_to_abort(RULE, sides(tally(100), tally(5, 5), recent=tally(1, 1)))
    assert "since its start, 5 of its 10 requests failed" in (reason or "")


def test_answers_unlike_the_clients_end_it() -> None:
    """By the share of copied requests whose answers were equal in kind."""
    assert reason_to_abort(RULE, compared(5, 5)) is None
    assert "4 of its 10 answers to copied requests were equal in kind" in (reason_to_abort(RULE, compared(4, 6)) or "")
    assert reason_to_abort(RULE, compared(0, 9)) is None


def test_a_rule_may_be_off() -> None:
    """Then only a command ends it."""
    assert reason_to_abort(CanaryRule(enabled=False), sides(tally(100), tally(0, 100))) is None
