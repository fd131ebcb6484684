"""`/v1/responses`: the shape of the recorded answers; text only, without tools."""

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from generation import Generation

EMPTY_IN_EVENTS = {
    "created_at": ("error", "incomplete_details"),
    "background": ("completed_at", "conversation"),
    "prompt": ("prompt_cache_key", "prompt_cache_retention"),
    "reasoning": ("safety_identifier",),
}
"""Members that follow these in events and are not in the whole answer: two libraries' models of one thing."""


def messages_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    messages = [{"role": "system", "content": request["instructions"]}] if request.get("instructions") else []
    given = request["input"]
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    return [*messages, *({"role": item.get("role", "user"), "content": item.get("content")} for item in given)]


def text_part(text: str, logprobs: Any = None) -> dict[str, Any]:
    return {"annotations": [], "text": text, "type": "output_text", "logprobs": logprobs}


def message_item(item_id: str, text: str) -> dict[str, Any]:
    content = [text_part(text)]
    return {"id": item_id, "content": content, "role": "assistant", "status": "completed", "type": "message"}


def response_body(
    response_id: str, model: str, request: dict[str, Any], generation: Generation | None
) -> dict[str, Any]:
    """
    Args:
        generation: finished, or None before.
    """
    status, output = "in_progress", []
    if generation is not None:
        status = "completed" if generation.outputs[0].finish_reason == "stop" else "incomplete"
        output = [message_item(f"msg_{uuid.uuid4().hex}", generation.outputs[0].text)]
    return {
        "id": response_id,
        "created_at": int(time.time()),
        "instructions": request["instructions"],
        "metadata": request["metadata"],
        "model": model,
        "object": "response",
        "output": output,
        "parallel_tool_calls": request["parallel_tool_calls"],
        "temperature": 1.0 if request["temperature"] is None else request["temperature"],
        "tool_choice": request["tool_choice"],
        "tools": request["tools"],
        "top_p": 1.0 if request["top_p"] is None else request["top_p"],
        "background": request["background"],
        "max_output_tokens": request["max_output_tokens"],
        "max_tool_calls": request["max_tool_calls"],
        "previous_response_id": request["previous_response_id"],
        "prompt": request["prompt"],
        "reasoning": request["reasoning"],
        "service_tier": request["service_tier"],
        "status": status,
        "text": request["text"],
        "top_logprobs": request["top_logprobs"],
        "truncation": request["truncation"],
        "usage": None,
        "user": request["user"],
    }


class ResponseStream:
    def __init__(self, response_id: str, model: str, request: dict[str, Any]) -> None:
        self._head = (response_id, model, request)
        self._number = -1

    def _event(self, kind: str, **members: Any) -> str:
        self._number += 1
        body = dict(sorted((members | {"sequence_number": self._number, "type": kind}).items()))
        return f"event: {kind}\ndata: {json.dumps(body, separators=(',', ':'), ensure_ascii=False)}\n\n"

    def _response(self, generation: Generation | None) -> dict[str, Any]:
        body = response_body(*self._head, generation)
        body["created_at"] = float(body["created_at"])
        wider: dict[str, Any] = {}
        for name, value in body.items():
            wider[name] = value
            wider |= dict.fromkeys(EMPTY_IN_EVENTS.get(name, ()))
        return wider

    async def events(self, generation: Generation) -> AsyncIterator[str]:
        """The real server loses the text of the last step in its deltas, and has it in `done`."""
        yield self._event("response.created", response=self._response(None))
        yield self._event("response.in_progress", response=self._response(None))
        place = {"item_id": "", "output_index": 0, "content_index": 0}
        item = message_item("", "") | {"content": [], "status": "in_progress"}
        yield self._event("response.output_item.added", item=item, output_index=0)
        yield self._event("response.content_part.added", part=text_part("", []), **place)
        async for output in generation:
            if output.finish_reason is None:
                yield self._event("response.output_text.delta", delta=output.delta, logprobs=[], **place)
        text = generation.outputs[0].text
        yield self._event("response.output_text.done", text=text, logprobs=[], **place)
        yield self._event("response.content_part.done", part=text_part(text), **place)
        yield self._event("response.output_item.done", item=message_item("", text), output_index=0)
        yield self._event("response.completed", response=self._response(generation))
