"""`/v1/completions`: several prompts, each with its own answers, numbered through."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from generation import Generation, Output
from wire import DONE, ChunkHead, event, new_id, total_usage, usage


def prompts_of(prompt: Any) -> list[tuple[str, int]]:
    """Text and number of tokens of each prompt. Token ids are code points, the way the stand-in counts."""
    prompts = [prompt] if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)) else prompt
    texts = [
        one if isinstance(one, str) else "".join(chr(token) if 31 < token < 0xD800 else "?" for token in one)
        for one in prompts
    ]
    return [(text, len(text)) for text in texts]


def completion_body(generations: list[Generation], model: str, num_logprobs: int | None) -> dict[str, Any]:
    choices = []
    for generation in generations:
        for output in generation.outputs:
            choices.append(
                {
                    "index": len(choices),
                    "text": output.text,
                    "token_ids": None,
                    "logprobs": _logprobs(output.text, 0, num_logprobs),
                    "context_logits": None,
                    "finish_reason": output.finish_reason,
                    "stop_reason": output.stop_reason,
                    "disaggregated_params": None,
                    "avg_decoded_tokens_per_iter": 1.0,
                }
            )
    num_prompt_tokens = sum(generation.num_prompt_tokens for generation in generations)
    num_tokens = sum(output.num_tokens for generation in generations for output in generation.outputs)
    return {
        "id": new_id("cmpl"),
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": usage(num_prompt_tokens, num_tokens),
        "prompt_token_ids": None,
    }


def _logprobs(text: str, offset: int, num_logprobs: int | None) -> dict[str, Any] | None:
    if not num_logprobs:
        return None
    return {
        "text_offset": list(range(offset, offset + len(text))),
        "token_logprobs": [-0.5] * len(text),
        "tokens": list(text),
        "top_logprobs": [{token: -0.5} for token in text],
    }


async def completion_events(
    generations: list[Generation], head: ChunkHead, num_logprobs: int | None, *, has_usage: bool
) -> AsyncIterator[str]:
    """The events of all prompts, mixed as they come. Each prompt's usage comes as a chunk of a chat."""
    merged: asyncio.Queue[tuple[int, Output | Exception | None]] = asyncio.Queue()

    async def forward(number: int, generation: Generation) -> None:
        try:
            async for output in generation:
                merged.put_nowait((number, output))
        except Exception as error:  # noqa: BLE001  it is raised again where the events are made
            merged.put_nowait((number, error))
        merged.put_nowait((number, None))

    tasks = [asyncio.create_task(forward(number, one)) for number, one in enumerate(generations)]
    num_running = len(tasks)
    while num_running:
        number, output = await merged.get()
        if isinstance(output, Exception):
            raise output
        if output is not None:
            yield event(_chunk(output, number * len(generations[number].outputs), head, num_logprobs))
            continue
        num_running -= 1
        if has_usage:
            body = head("chatcmpl", "chat.completion.chunk") | {"choices": []}
            yield event(body | {"usage": total_usage(generations[number])})
    yield DONE


def _chunk(output: Output, offset: int, head: ChunkHead, num_logprobs: int | None) -> dict[str, Any]:
    choice = {
        "index": offset + output.index,
        "text": output.delta,
        "token_ids": None,
        "logprobs": _logprobs(output.delta, len(output.text) - len(output.delta), num_logprobs),
        "finish_reason": output.finish_reason,
        "stop_reason": output.stop_reason,
        "avg_decoded_tokens_per_iter": 1.0,
    }
    return head("cmpl", "text_completion") | {"choices": [choice], "usage": None}
