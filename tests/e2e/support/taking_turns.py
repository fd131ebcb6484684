"""A house of two models that take turns, what they are asked, and what they say of their turns."""

from pathlib import Path

import openai
from house import House
from house_files import Json, free_port, model, router, serve_file

NAMES = ("one", "two")
GROUP = {"group": "shared", "min_awake_s": 0.5, "max_wait_s": 120}


def house_file(*more: Json, **args: object) -> Json:
    """`args` are those of both engines; `more` are other models' applications."""
    models = [*(model(name, swap=dict(GROUP), **args) for name in NAMES), *more]
    table = router(free_port(), {one["name"]: [] for one in models})
    table["deployments"][0]["user_config"]["requests"] = {"early_headers_s": 0.1, "replica_wait_s": 150}
    return serve_file(table, models)


async def told(client: openai.AsyncOpenAI, name: str, num_tokens: int = 8, **options: object) -> int:
    """The number of tokens of one streamed answer, which is whole."""
    stream = await client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": "Tell me about the sea."}], temperature=0,
        max_tokens=num_tokens, stream=True, stream_options={"include_usage": True},
        extra_headers={"x-enginehouse-cache": "off"}, extra_body=options or None,
    )  # fmt: skip
    reasons, num_told = [], 0
    async for chunk in stream:
        num_told = chunk.usage.completion_tokens if chunk.usage else num_told
        reasons += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
    assert 1 == len(reasons)
    return num_told


def swaps(house: House, name: str) -> int:
    """How often a model woke, by its replicas' logs."""
    return house.replica_logs(name).count("is awake")


def holders(gpu: Path) -> list[str]:
    """Who took and gave the GPU's memory, in order, by the engines' own notes."""
    return [line.partition(" ")[2] for line in gpu.read_text().splitlines()]


def assert_one_at_a_time(gpu: Path) -> None:
    """Each that takes the memory gives it back before another takes it."""
    notes = holders(gpu)
    pairs = [(notes[number], notes[number + 1]) for number in range(0, len(notes) - 1, 2)]
    assert all(one.endswith(" takes") for one in notes[::2])
    assert [(one, one.replace("takes", "gives")) for one, _ in pairs] == pairs
