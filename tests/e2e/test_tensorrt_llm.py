"""A house with a TensorRT-LLM model, on the stand-in for its server, asked by the OpenAI SDK."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from contract_engines import tensorrt_llm
from house import House, open_house
from house_files import Json, free_port, model, router, serve_file
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from trtllm_build_environment import make_build_environment, make_weights
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


def failing(name: str, app: Json, failure: str) -> Json:
    """The same as a model of its own, whose server fails in that way from its third request on."""
    environment = {**app["args"]["environment"], "STANDIN_FAIL": failure, "STANDIN_FAIL_AFTER": "2"}
    return {**app, "name": name, "args": {**app["args"], "model": name, "environment": environment}}


def built(folder: Path, app: Json) -> Json:
    """The same as a model whose engine was built here for the GPU that is here."""
    trtllm = make_build_environment(folder / "trtllm")
    done = trtllm.build(make_weights(folder / "model"), folder / "engine")
    assert 0 == done.returncode, done.stderr
    sources = {"model_source": str(folder / "engine"), "tokenizer_source": str(folder / "model")}
    environment = {**app["args"]["environment"], "PATH": f"{trtllm.folder / 'bin'}:{os.environ['PATH']}"}
    changes = {"interpreter": str(trtllm.python), "tool_call_parser": None, "environment": environment, **sources}
    return {**app, "name": "built", "args": {**app["args"], "model": "built", **changes}}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """`trt`, `coder` and `built` work; streams of `dies` and of `cuts` break in the end."""
    table = router(free_port(), {"trt": ["weather"], "built": [], "dies": [], "cuts": []})
    models = table["deployments"][0]["user_config"]["models"]
    models["coder"] = {"application": "trt", "fim": {"template": "qwen_coder"}}
    for app in application():
        failing_apps = [failing("dies", app, "executor_error"), failing("cuts", app, "cut_stream")]
        apps = [app, built(tmp_path_factory.mktemp("built"), app), *failing_apps]
        with open_house(serve_file(table, apps)) as house:
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


@pytest.mark.parametrize("name", ["dies", "cuts"])
def test_a_broken_stream_is_an_error(house: House, client: openai.OpenAI, name: str) -> None:
    """A stream that the engine breaks off ends with an error, and its replica is replaced where the process died."""
    before = house.num_started(name)
    with pytest.raises(openai.APIError):
        ask_until_it_fails(client, name)
    if name == "dies":
        wait_for("its replica is replaced", lambda: house.num_started(name) > before)


def ask_until_it_fails(sdk: openai.OpenAI, name: str) -> None:
    for _ in range(4):
        list(sdk.chat.completions.create(model=name, messages=MESSAGES, max_tokens=20, stream=True))


def test_what_cannot_start_ends_the_command() -> None:
    """Exit code 1, and a reason that names the cause: the server's own last words, here."""
    for app in application(environment={"STANDIN_FAIL": "load_oom"}):
        house = House(serve_file(router(free_port(), {"trt": []}), [app]))
        try:
            assert 1 == house.wait_exit()
            assert "out of memory" in house.output()
        finally:
            house.close()


def test_an_engine_is_built_and_served(client: openai.OpenAI) -> None:
    """From a checkpoint to a token."""
    answer = client.chat.completions.create(model="built", messages=MESSAGES, max_tokens=4)
    assert answer.usage is not None
    assert ("built", 4) == (answer.model, answer.usage.completion_tokens)
