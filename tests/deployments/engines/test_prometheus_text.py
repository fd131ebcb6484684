"""`deployments/engines/prometheus_text.py`."""

import pytest

from deployments.engines import prometheus_text
from deployments.engines.prometheus_text import MetricNotFound


def test_samples_are_summed_over_labels() -> None:
    """One name with several label sets gives their sum; comments, NaN and garbage give nothing."""
    text = '# TYPE a counter\na{x="1"} 2\na{x="2} 9"} 3 1700000000\nb 0.5\nc NaN\nd\ne word\n\n'

    assert {"a": 5.0, "b": 0.5} == prometheus_text.samples(text)


def test_a_missing_count_is_named() -> None:
    """Asking for a count that the text lacks raises an error that names it."""
    with pytest.raises(MetricNotFound, match="no sample of vllm:num_requests_running"):
        prometheus_text.required({}, "vllm:num_requests_running")
