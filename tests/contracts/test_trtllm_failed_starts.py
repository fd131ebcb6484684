"""What is said when TensorRT-LLM cannot start, on the stand-in for its server: what is wrong with the settings."""

from typing import Any

import pytest
from contract_engines import tensorrt_llm

from deployments.engines import create_engine
from deployments.engines.errors import EngineStartError
from deployments.engines.runtime import EngineRuntime


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"interpreter": "/no/such/python"}, "cannot execute /no/such/python"),
        ({"model_source": "/no/such/model"}, "no model at /no/such/model: there is no such folder"),
        ({"unchecked_llm_args": {"no_such_argument": 1}}, "no_such_argument"),
        ({"extra_args": ["--no_such_option"]}, "extra_args: this trtllm-serve has no option --no_such_option"),
        ({"environment": {"STANDIN_FAIL": "load_oom"}}, "out of memory"),
        ({"environment": {"STANDIN_FAIL": "load_hangs"}, "start_timeout_s": 5}, "was not ready after 5 s"),
    ],
)
async def test_the_cause_is_named(changes: dict[str, Any], reason: str) -> None:
    """In the message, which the command of a house prints."""
    with tensorrt_llm() as given:
        settings = type(given).model_validate({**given.model_dump(), **changes})
        runtime = EngineRuntime(create_engine(settings), settings, "127.0.0.1", lambda *_: None, lambda _: None)
        with pytest.raises(EngineStartError) as failure:
            async with runtime:
                pass
    assert reason in failure.value.message
