"""A batch in a whole house that is killed in the middle of it."""

import contextlib
import json
import time
from pathlib import Path

import openai
import psutil
import pytest
from house import House, open_house
from house_files import Json, free_port, model, router, serve_file
from waiting import DEADLINE_S

NUM_LINES = 300
NUM_BEFORE = 60
"""Lines that are answered before the house is killed."""

pytestmark = pytest.mark.soak  # two houses, one after the other


def house_file(folder: Path) -> Json:
    """Two routers, one replica of the simulated engine with eight slots, a folder for batches."""
    table = router(free_port(), {"simulated": []}, num_replicas=2)
    table["args"]["batches"] = {"store": {"type": "folder", "path": str(folder)}}
    return serve_file(table, [model("simulated", max_num_seqs=8)])


def input_file() -> bytes:
    # All of them together take so long that the test sees the batch before its end.
    pace = {"num_tokens": 4, "inter_token_ms": 150, "prefill_base_ms": 0}
    lines = [
        {
            "custom_id": str(number),
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": "simulated", "prompt": f"prompt {number}", "max_tokens": 4, "simulated": pace},
        }
        for number in range(NUM_LINES)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def sdk(house: House) -> openai.OpenAI:
    return openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=5, timeout=30)


def wait_for(client: openai.OpenAI, batch_id: str, num_lines: int) -> openai.types.Batch:
    """The batch once so many lines are answered, or it is over."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        batch = client.batches.retrieve(batch_id)
        if batch.status not in ("validating", "in_progress", "finalizing"):
            return batch
        if num_lines < NUM_LINES and batch.request_counts and batch.request_counts.completed >= num_lines:
            return batch
        assert time.monotonic() < deadline, batch
        time.sleep(0.05)


def test_a_killed_house_goes_on_with_its_batch(tmp_path: Path) -> None:
    """`kill -9` of everything; the next house on the same folder answers the rest, and no line twice."""
    config = house_file(tmp_path / "batches")
    house = House(config)
    try:
        house.wait_ready()
        house.wait_whole()
        with sdk(house) as client:
            file = client.files.create(file=("input.jsonl", input_file()), purpose="batch")
            batch = client.batches.create(input_file_id=file.id, endpoint="/v1/completions", completion_window="24h")
            before = wait_for(client, batch.id, NUM_BEFORE)
        assert before.status == "in_progress"
        for process in house.family():
            with contextlib.suppress(psutil.NoSuchProcess):  # some end with those that were killed before them
                process.kill()
        house.process.wait(DEADLINE_S)
    finally:
        house.close()
    with open_house(config) as again, sdk(again) as client:
        after = wait_for(client, batch.id, NUM_LINES)
        content = client.files.content(str(after.output_file_id)).text
    assert ("completed", None) == (after.status, after.error_file_id)
    assert [str(number) for number in range(NUM_LINES)] == [
        json.loads(one)["custom_id"] for one in content.splitlines()
    ]
