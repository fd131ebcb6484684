"""deployments.serve_internals.ask_all_routers: routers that are not there, and such as do not answer."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import GetTimeoutError, RayActorError
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import DeploymentUnavailableError

from deployments import serve_internals
from deployments.serve_internals import ask_all_routers


class Serve:
    """Two applications with routers; what the second one's answer is, or what is raised in its place."""

    def __init__(self, second: list[str] | Exception) -> None:
        self._answers: dict[str, list[str] | Exception] = {"first": ["well"], "second": second}

    def status(self) -> SimpleNamespace:
        overview = SimpleNamespace(deployments={"Router": None})
        return SimpleNamespace(applications=dict.fromkeys(self._answers, overview))

    def get_deployment_handle(self, _deployment: str, application: str) -> Any:
        def results(timeout_s: float) -> list[str]:
            assert timeout_s > 0
            answer = self._answers[application]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return SimpleNamespace(broadcast=lambda _method: SimpleNamespace(results=results))


def test_a_router_that_was_killed_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until Serve has replaced it, the others are asked."""
    gone = DeploymentUnavailableError(DeploymentID("Router", "second"))
    monkeypatch.setattr(serve_internals, "serve", Serve(gone))
    assert ["well"] == ask_all_routers("table_status")


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (GetTimeoutError("ids of objects"), "a router of 'second' does not answer within 30 s"),
        (TimeoutError("Timed out waiting for broadcast results."), "a router of 'second' does not answer within 30 s"),
        (RayActorError(error_msg="a trace\nThe actor died."), "The actor died."),
    ],
)
def test_a_router_that_fails_is_told_in_one_line(raised: Exception, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is stopped, or dies as it is asked."""
    monkeypatch.setattr(serve_internals, "serve", Serve(raised))
    with pytest.raises(RuntimeError, match=f"^{told}$"):
        ask_all_routers("table_status")
