"""A house with a TensorRT-LLM model, on the stand-in for its server, asked by the OpenAI SDK."""

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from contract_engines import tensorrt_llm
from house import House, open_house
from house_files import Json, free_port, model, router, serve_file
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from trtllm_build_environment import A100, make_build_environment, make_weights
from waiting import wait_for

pytestmark = pytest.mark.houses

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris"]}}, "required": ["city"]}
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "strict": True, "parameters": SCHEMA},
}


def application(**changes: object) -> Iterator[Json]:
    """A model's application on the stand-in."""
    with tensorrt_llm() as settings:
        args = settings.model_dump(mode="json", exclude={"model"}, exclude_defaults=True)
        yield model("trt", **{**args, **changes})


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    table = router(free_port(), {"trt": ["weather"]})
    models = table["deployments"][0]["user_config"]["models"]
    models["coder"] = {"application": "trt", "fim": {"template": "qwen_coder"}}
    for app in application():
        with open_house(serve_file(table, [app])) as house:
            yield house


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0, timeout=60) as sdk:
        yield sdk


def test_what_newer_clients_send_is_no_error(client: openai.OpenAI) -> None:
    """The server itself refuses each of these fields."""
    answer = client.chat.completions.create(
        model="weather", messages=MESSAGES, max_completion_tokens=4, store=False, metadata={"a": "b"}, verbosity="low"
    )
    assert answer.usage is not None
    assert ("trt", 4) == (answer.model, answer.usage.completion_tokens)


def test_a_stream_has_one_id(client: openai.OpenAI) -> None:
    """The server gives each chunk its own."""
    chunks = client.chat.completions.create(model="trt", messages=MESSAGES, max_tokens=6, stream=True)
    assert 1 == len({chunk.id for chunk in chunks})


def test_a_demanded_tool_is_called(client: openai.OpenAI) -> None:
    """The server itself refuses the demand, and `strict`."""
    answer = client.chat.completions.create(
        model="trt", messages=MESSAGES, tools=[TOOL], tool_choice="required", max_tokens=64
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert ("get_weather", {"city": "Paris"}, "tool_calls") == (
        call.function.name,
        json.loads(call.function.arguments),
        answer.choices[0].finish_reason,
    )


def test_a_schema_is_kept_to(client: openai.OpenAI) -> None:
    """The server itself would enforce nothing."""
    answer = client.chat.completions.create(
        model="trt",
        messages=MESSAGES,
        max_tokens=64,
        response_format={"type": "json_schema", "json_schema": {"name": "c", "strict": True, "schema": SCHEMA}},
    )
    assert {"city": "Paris"} == json.loads(answer.choices[0].message.content or "")


def test_a_prompt_over_the_context(client: openai.OpenAI) -> None:
    """The code that clients know, though the server words it in a way of its own."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="trt", messages=[{"role": "user", "content": "word " * 2000}])
    assert ("context_length_exceeded", "messages") == (refused.value.code, refused.value.param)


def test_what_it_cannot_do_is_refused_by_name(client: openai.OpenAI) -> None:
    """Before the server is asked."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="trt", prompt="a", suffix="b")
    assert "suffix" == refused.value.param


def test_a_suffix_is_filled_in_by_the_models_marks(client: openai.OpenAI) -> None:
    """The server knows no `suffix`; it gets one prompt, and the stops as it takes them."""
    made = "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"
    filled = client.completions.create(model="coder", prompt="a", suffix="b", max_tokens=4, temperature=0)
    plain = client.completions.create(model="trt", prompt=made, max_tokens=4, temperature=0)
    assert filled.usage is not None
    assert (plain.choices[0].text, plain.usage) == (filled.choices[0].text, filled.usage)


@pytest.mark.parametrize("failure", ["executor_error", "cut_stream"])
def test_a_broken_stream_is_an_error(failure: str) -> None:
    """A stream that the engine breaks off ends with an error, and its replica is replaced where the process died."""
    changed: dict[str, Any] = {"environment": {"STANDIN_FAIL": failure, "STANDIN_FAIL_AFTER": "2"}}
    for app in application(**changed):
        with (
            open_house(serve_file(router(free_port(), {"trt": []}), [app])) as house,
            openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0, timeout=60) as sdk,
        ):
            before = house.num_started("trt")
            with pytest.raises(openai.APIError):
                ask_until_it_fails(sdk)
            if failure == "executor_error":
                wait_for("its replica is replaced", functools.partial(has_started, house, before))


def ask_until_it_fails(sdk: openai.OpenAI) -> None:
    for _ in range(4):
        list(sdk.chat.completions.create(model="trt", messages=MESSAGES, max_tokens=20, stream=True))


def has_started(house: House, before: int) -> bool:
    return house.num_started("trt") > before


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
def test_what_cannot_start_ends_the_command(changes: dict[str, Any], reason: str) -> None:
    """Exit code 1, and a reason that names the cause."""
    for app in application(**changes):
        house = House(serve_file(router(free_port(), {"trt": []}), [app]))
        try:
            assert 1 == house.wait_exit()
            assert reason in house.output()
        finally:
            house.close()


def test_an_engine_is_built_and_served_where_it_fits(tmp_path: Path) -> None:
    """From a checkpoint to a token; and on another GPU the command ends with the reason."""
    trtllm = make_build_environment(tmp_path / "trtllm")
    done = trtllm.build(make_weights(tmp_path / "model"), tmp_path / "engine")
    assert 0 == done.returncode, done.stderr
    args = {"model_source": str(tmp_path / "engine"), "interpreter": str(trtllm.python), "tool_call_parser": None}
    environment = {"STANDIN_TOKEN_MS": "5", "PATH": f"{trtllm.folder / 'bin'}:{os.environ['PATH']}"}
    for app in application(**args, tokenizer_source=str(tmp_path / "model"), environment=environment):
        with (
            open_house(serve_file(router(free_port(), {"trt": []}), [app])) as house,
            openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0, timeout=60) as sdk,
        ):
            answer = sdk.chat.completions.create(model="trt", messages=MESSAGES, max_tokens=4)
            assert "trt" == answer.model

        trtllm.set_gpus(A100)
        refused = House(serve_file(router(free_port(), {"trt": []}), [app]))
        try:
            assert 1 == refused.wait_exit()
            assert "built for SM 90 (NVIDIA H100 80GB HBM3), this GPU is SM 80" in refused.output()
        finally:
            refused.close()
