"""router.reliability.budget: how many more attempts than requests there may be."""

from hypothesis import given
from hypothesis import strategies as st

from configs.reliability import RetryPolicy
from router.reliability.budget import RetryBudget

POLICY = RetryPolicy(max_ratio=0.2, min_retries=3, window_s=10)


def test_a_quiet_model_has_a_few() -> None:
    """Without them its only request could not be asked again."""
    budget = RetryBudget()
    assert [True, True, True, False] == [budget.take(50.0, POLICY) for _ in range(4)]


def test_a_busy_model_has_its_share() -> None:
    """A fifth of a hundred requests, beside the few."""
    budget = RetryBudget()
    for index in range(100):
        budget.note_request(50.0 + index / 20, POLICY)
    assert 23 == sum(budget.take(55.0, POLICY) for _ in range(100))


def test_what_was_spent_comes_back_with_time() -> None:
    """After the window, and not before."""
    budget = RetryBudget()
    for _ in range(3):
        budget.take(50.0, POLICY)
    assert [False, True] == [budget.take(59.9, POLICY), budget.take(60.0, POLICY)]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_no_window_has_more_than_its_share(events: list[tuple[bool, float]]) -> None:
    """Whatever the order of requests and failures."""
    budget, now = RetryBudget(), 0.0
    requests: list[float] = []
    retries: list[float] = []
    for is_request, pause_s in events:
        now += pause_s
        if is_request:
            budget.note_request(now, POLICY)
            requests.append(now)
        elif budget.take(now, POLICY):
            retries.append(now)
            oldest = int(now) - POLICY.window_s + 1
            num_requests = sum(at >= oldest for at in requests)
            assert sum(at >= oldest for at in retries) <= 0.2 * num_requests + 3 + 1
