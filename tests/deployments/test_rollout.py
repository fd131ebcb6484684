"""What a person is told while a deployment comes up."""

import pytest

from deployments.rollout import Progress, Stage, fatal, is_settled, read_progress

CHAIN = """Deploying app 'm' failed with exception:
Traceback (most recent call last):
  File "a.py", line 1, in build
    raise
configs.finding.ConfigError: applications[0].args.port: must be a number
  and another line
"""


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ({}, "waiting for a place"),
        ({"a": "loading"}, "loading"),
        ({"a": "loading", "b": "loading", "c": "ready"}, "loading (2), ready"),
        ({"a": "pulling x, 34 %", "b": "ready", "c": "loading"}, "loading, pulling x, 34 %, ready"),
        ({"a": "failed: no such file"}, "waiting for a place, 1 start failed"),
        ({"a": "failed: no such file", "b": "failed: no such file", "c": "loading"}, "loading, 2 starts failed before"),
    ],
)
def test_a_deploying_application_says_where_its_replicas_are(phases: dict[str, str], expected: str) -> None:
    """The replicas' phases become one line, in the order in which a replica passes through them."""
    assert Progress("m", Stage.DEPLOYING, expected) == read_progress("m", "DEPLOYING", "", phases)


def test_a_replica_without_a_place_says_what_is_missing() -> None:
    """Only while there is none: a replica that runs has its place."""
    nowhere = "no node has the label engine=vllm"
    waiting = read_progress("m", "DEPLOYING", "", {}, lambda: nowhere)
    loading = read_progress("m", "DEPLOYING", "", {"a": "loading"}, lambda: nowhere)

    assert ("waiting for a place: no node has the label engine=vllm", "loading") == (waiting.detail, loading.detail)


def test_a_failed_engine_is_quoted() -> None:
    """Where an engine said why it did not start, that is the reason, not Serve's message."""
    progress = read_progress("m", "DEPLOY_FAILED", "Deployment failed to start 3 times", {"a": "failed: out of memory"})

    assert Progress("m", Stage.FAILED, "failed", "out of memory") == progress


def test_the_cause_is_cut_out_of_a_chain_of_tracebacks() -> None:
    """Without an engine's word, the last exception's message is the reason, all of its lines."""
    progress = read_progress("m", "DEPLOY_FAILED", CHAIN, {})

    assert "applications[0].args.port: must be a number\n  and another line" == progress.reason


def test_a_message_without_an_exception_is_quoted_at_its_end() -> None:
    """Where nothing looks like an exception, the message's last lines are the reason."""
    assert "it broke" == read_progress("m", "UNHEALTHY", "it broke\n", {}).reason


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ((Stage.RUNNING, Stage.RUNNING), True),
        ((Stage.RUNNING, Stage.DEPLOYING), False),
        ((Stage.DEPLOYING, Stage.FAILED), True),
        ((Stage.RUNNING, Stage.UNHEALTHY), False),
    ],
)
def test_it_is_settled_when_all_runs_or_something_failed(stages: tuple[Stage, ...], *, expected: bool) -> None:
    """Waiting ends with everything running, and with the first failure."""
    assert expected == is_settled([Progress(str(index), stage, "") for index, stage in enumerate(stages)])


@pytest.mark.parametrize(
    ("stages", "is_over", "fatal_ones"),
    [
        ((Stage.FAILED, Stage.RUNNING), True, []),
        ((Stage.FAILED, Stage.DEPLOYING), False, []),
        ((Stage.FAILED, Stage.FAILED), True, ["1"]),
        ((Stage.RUNNING, Stage.FAILED), True, ["1"]),
    ],
)
def test_what_a_fallback_stands_in_for_may_fail(
    stages: tuple[Stage, ...], *, is_over: bool, fatal_ones: list[str]
) -> None:
    """The first application is dispensable: its failure ends nothing while the second is on its way."""
    progress = [Progress(str(index), stage, "") for index, stage in enumerate(stages)]
    assert (is_over, fatal_ones) == (
        is_settled(progress, {"0"}),
        [one.application for one in fatal(progress, {"0"})],
    )
