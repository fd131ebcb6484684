"""`configs/prod.yaml` on the nodes that it asks for: with simulated engines here, and all else as in the file."""

from collections.abc import Iterator

import openai
import pytest
import yaml
from house import ROOT
from house_files import KEYS, Json, free_port, models_of, router_of
from machines import Machines, NodeShape, open_machines
from streaming_load import sdk
from waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

VLLM, TENSORRT_LLM, OLLAMA = "127.0.0.2", "127.0.0.3", "127.0.0.4"
NODES = {
    VLLM: NodeShape(num_cpus=24, num_gpus=4, labels="engine=vllm"),
    TENSORRT_LLM: NodeShape(num_cpus=16, num_gpus=1, labels="engine=tensorrt-llm"),
    OLLAMA: NodeShape(num_cpus=16, labels="engine=ollama"),
}
PLACES = {
    "qwen-coder": [VLLM],
    "complete": [VLLM],
    "embed": [VLLM],
    "qwen-coder-trt": [TENSORRT_LLM],
    "small": [OLLAMA],
}


def prod_file() -> Json:
    file: Json = yaml.safe_load((ROOT / "configs" / "prod.yaml").read_text(encoding="utf-8"))
    router_of(file)["args"]["listener"] |= {"host": "127.0.0.1", "port": free_port()}
    for application in models_of(file):
        drain_timeout_s = application["args"]["drain_timeout_s"]
        application["args"] = {
            "engine": "simulated", "model": application["name"], "drain_timeout_s": drain_timeout_s
        }  # fmt: skip
    rules = router_of(file)["deployments"][0]["user_config"]["auto"]["auto"]["rules"]
    rules[:] = [rule for rule in rules if "task" not in rule.get("when", {})]  # simulated engines only generate
    return file


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    # There is no Redis at the file's address: answers are then made each time.
    secrets = dict.fromkeys(("ENGINEHOUSE_REDIS_PASSWORD", "ENGINEHOUSE_CACHE_KEY"), "no secret of anybody's")
    with open_machines(NODES, {"ENGINEHOUSE_API_KEYS": KEYS[0], **secrets}) as opened:
        served = opened.serve(prod_file())
        assert served.returncode == 0, served.stdout + served.stderr
        yield opened


async def test_each_model_is_on_the_nodes_of_its_engine(machines: Machines) -> None:
    """By its label and its GPUs, all at once, with two routers on two nodes."""
    assert PLACES == {name: machines.replica_hosts(name) for name in PLACES}
    assert 2 == len(set(machines.replica_hosts("router")))


async def test_fallbacks_serve_while_the_node_of_a_model_is_gone(machines: Machines) -> None:
    """First the other engine for the same weights, then the small model, each under the name that was asked for."""
    async with sdk(machines) as client:
        for host, application in ((VLLM, "qwen-coder"), (TENSORRT_LLM, "qwen-coder-trt")):
            machines.kill(host)
            await eventually("Serve knows", lambda name=application: not machines.replica_hosts(name))  # type: ignore[misc]
            await eventually(
                "the routers know",
                lambda name=application: machines.ready_replicas().get(name) == _left(name),  # type: ignore[misc]
            )
            await _answers(client)


def _left(model: str) -> int:
    """Replicas that can still answer for a model: those of its fallbacks."""
    return {"qwen-coder": 2, "qwen-coder-trt": 0}[model]


async def _answers(client: openai.AsyncOpenAI) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
    answer = await client.chat.completions.create(model="default", messages=messages, max_tokens=3)
    assert answer.choices[0].message.content
