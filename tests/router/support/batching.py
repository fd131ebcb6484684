"""Input files, and batches watched to their end."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import openai
from door import Door
from openai.types import Batch

OpenHouse: TypeAlias = Callable[..., Awaitable[Door]]
"""Opens one more router on the test's folder: its name, its keys, and settings of batches."""
_DEADLINE_S = 60.0


def sdk(door: Door, key: str = "any") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{door.port}/v1", api_key=key, max_retries=0, timeout=60)


def line(custom_id: str, prompt: str, **body: object) -> dict[str, object]:
    """One chat."""
    request = {"model": "m", "messages": [{"role": "user", "content": prompt}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": request}


def jsonl(lines: Iterable[object]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


async def begin(
    client: openai.AsyncOpenAI, content: bytes, endpoint: str = "/v1/chat/completions", window: str = "24h", **more: Any
) -> Batch:
    """Upload a file and make a batch of it."""
    file = await client.files.create(file=("input.jsonl", content), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type] - the SDK names only those of OpenAI
        completion_window=window,  # type: ignore[arg-type] - shorter windows are an extension
        **more,
    )


async def ended(client: openai.AsyncOpenAI, batch: Batch) -> Batch:
    """The batch once it is over."""
    async with asyncio.timeout(_DEADLINE_S):
        while batch.status not in ("completed", "failed", "expired", "cancelled"):
            await asyncio.sleep(0.01)
            batch = await client.batches.retrieve(batch.id)
    return batch


async def entries(client: openai.AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of an output or error file; none where there is no file."""
    if file_id is None:
        return []
    content = await client.files.content(file_id)
    return [json.loads(one) for one in content.text.splitlines()]
