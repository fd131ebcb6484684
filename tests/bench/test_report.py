"""From windows to microseconds, ratios and verdicts."""

import math

import pytest

from bench.measured import Marked, Measured, Window, quantile
from bench.report import markdown, reached, rows, verdicts
from bench.scenarios import BY_NAME

ONE_SHOT = BY_NAME["one-shot"]


def measured(contender: str, cpu_s: float, *, scenario: str = "one-shot", idle_ratio: float = 0.0) -> Measured:
    """Two windows of ten seconds with 1,000 requests and 16,000 tokens each."""
    marked = Marked(num_requests=1000, num_tokens=16_000, ttft_ms=[1.0, 2.0, 3.0])
    window = Window(10.0, marked, {"router": cpu_s}, {"router": idle_ratio})
    return Measured(contender, BY_NAME[scenario], [window, window])


def test_raw_cpu_is_per_request_where_requests_are_the_unit() -> None:
    """0.5 s for 1,000 requests are 500 µs each."""
    assert [500.0, 500.0] == measured("a", 0.5).raw_us("router")


def test_raw_cpu_is_per_token_where_tokens_are_the_unit() -> None:
    """0.8 s for 16,000 tokens are 50 µs each."""
    assert [50.0, 50.0] == measured("a", 0.8, scenario="paced-stream").raw_us("router")


def test_idle_use_is_subtracted_for_the_length_of_the_window() -> None:
    """At 2 % of a CPU ten idle seconds take 0.2 s away from 0.5 s."""
    assert pytest.approx([300.0, 300.0]) == measured("a", 0.5, idle_ratio=0.02).net_us("router")


def test_a_contender_that_got_half_of_the_load_says_so() -> None:
    """The ratio is what came to what the clients could have got."""
    half = Window(1.0, Marked(num_requests=int(ONE_SHOT.max_units_per_s / 2)), {"router": 1.0}, {"router": 0.0})
    found = Measured("a", ONE_SHOT, [half])
    assert pytest.approx(0.5, abs=0.01) == found.load_ratio


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, 2.0), (0.99, 4.0), (0.0, 1.0)])
def test_a_quantile_is_a_value_that_was_seen(ratio: float, expected: float) -> None:
    """No interpolation: with four values, p99 is the worst."""
    assert expected == quantile([4.0, 1.0, 3.0, 2.0], ratio)


def test_the_quantile_of_nothing_is_unknown() -> None:
    """It is not zero."""
    assert math.isnan(quantile([], 0.5))


def test_the_reference_is_the_unit_of_the_ratios() -> None:
    """Half of the CPU of vllm-router is 0.5."""
    found = rows([measured("vllm-router", 0.2), measured("own-listener", 0.1)])
    assert [1.0, 0.5] == [row.ratio for row in found]


def test_the_time_to_first_token_is_what_is_added_to_the_direct_one() -> None:
    """Without the direct measurement nothing is known about it."""
    alone = rows([measured("own-listener", 0.1)])[0]
    both = rows([measured("direct", 0.1), measured("own-listener", 0.1)])[1]
    assert (True, 0.0) == (math.isnan(alone.ttft_added_p50_ms), both.ttft_added_p50_ms)


def words(*results: Measured) -> dict[str, str]:
    return {verdict.target.reference + " " + verdict.target.scenario: verdict.word for verdict in verdicts(results)}


def test_targets_are_judged_by_what_was_measured() -> None:
    """1.2x per one-shot request passes, 40x less than LiteLLM does not, and what was not run is not judged."""
    found = words(measured("own-listener", 0.12), measured("vllm-router", 0.1), measured("litellm", 4.8))
    expected = {
        "vllm-router paced-stream": "not measured",
        "vllm-router one-shot": "pass",
        "litellm one-shot": "miss",
    }
    assert expected == found


def test_a_ratio_far_below_one_reads_the_other_way_round() -> None:
    """Nobody thinks in 0.02x."""
    assert ("1.20x", "50x less", "-") == (reached(1.2), reached(0.02), reached(math.nan))


def test_the_markdown_has_a_line_for_each_group() -> None:
    """A table of one scenario: heading, rule and one row, besides the targets."""
    lines = [line for line in markdown([measured("direct", 0.1)]).splitlines() if "direct" in line]
    assert ["| direct | router | 100 | 100-100 | 100 | 0.0% | - | 100 (9%) | +0.00 | +0.00 | 0 |"] == lines
