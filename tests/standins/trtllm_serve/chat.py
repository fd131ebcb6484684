"""`/v1/chat/completions`: from a checked request to its answer, whole or as events."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from generation import Generation, Output
from parsers import Call, split_calls, split_reasoning
from wire import DONE, ChunkHead, event, new_id, token_logprob, total_usage, usage


@dataclass(frozen=True)
class ChatStyle:
    """
    What decides on the form of an answer.

    Attributes:
        tool_name: of a named tool_choice: the answer is that tool's arguments.
        num_top_logprobs: None without logprobs.
    """

    model: str
    has_tool_parser: bool
    reasoning_parser: str | None
    tool_name: str | None
    num_top_logprobs: int | None
    is_id_stable: bool
    stream_options: dict[str, Any] = field(default_factory=dict)

    def parse(self, text: str, *, is_finished: bool) -> tuple[str, str, list[Call]]:
        """Reasoning, content and calls of the text so far."""
        reasoning, text = split_reasoning(self.reasoning_parser, text, is_finished=is_finished)
        content, calls = split_calls(text, is_finished=is_finished) if self.has_tool_parser else (text, [])
        return reasoning, content, calls


def chat_body(generation: Generation, style: ChatStyle) -> dict[str, Any]:
    return {
        "id": new_id("chatcmpl"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": style.model,
        "choices": [_choice(output, style) for output in generation.outputs],
        "usage": total_usage(generation),
        "prompt_token_ids": None,
    }


def _tool_call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": new_id("chatcmpl-tool"), "type": "function", "function": {"name": name, "arguments": arguments}}


def _choice(output: Output, style: ChatStyle) -> dict[str, Any]:
    reasoning, content, calls = style.parse(output.text, is_finished=True)
    tool_calls = [_tool_call(call.name, call.arguments) for call in calls]
    if style.tool_name is not None:
        reasoning, content, tool_calls = "", "", [_tool_call(style.tool_name, output.text)]
    logprobs = None
    if style.num_top_logprobs is not None:
        logprobs = {"content": [token_logprob(token, style.num_top_logprobs) for token in output.text]}
    return {
        "index": output.index,
        "message": {
            "role": "assistant",
            "content": content,
            "reasoning_content": reasoning,
            "reasoning": None,
            "tool_calls": tool_calls,
        },
        "logprobs": logprobs,
        "finish_reason": _finish_reason(output, has_calls=bool(calls)),
        "stop_reason": output.stop_reason,
        "mm_embedding_handle": None,
        "disaggregated_params": None,
        "avg_decoded_tokens_per_iter": 1.0,
    }


def _finish_reason(output: Output, *, has_calls: bool) -> str | None:
    return "tool_calls" if has_calls and output.finish_reason == "stop" else output.finish_reason


class ChatStream:
    """The events of one answer. What was sent of each output is kept, and the rest follows with each token."""

    def __init__(self, style: ChatStyle) -> None:
        self._style = style
        self._head = ChunkHead(style.model, is_stable=style.is_id_stable)
        self._sent: dict[int, tuple[str, str, list[Call]]] = {}

    async def events(self, generation: Generation) -> AsyncIterator[str]:
        options = self._style.stream_options
        is_continuous = bool(options.get("include_usage") and options.get("continuous_usage_stats"))
        is_first = True
        async for output in generation:
            if is_first:
                for index in range(len(generation.outputs)):
                    chunk = self._chunk([{"index": index, "delta": {"role": "assistant"}}])
                    if is_continuous:
                        chunk["usage"] = usage(generation.num_prompt_tokens, 0)
                    yield event(chunk, " \n\n")
                is_first = False
            if (choice := self._choice(output)) is not None:
                chunk = self._chunk([choice])
                if is_continuous:
                    chunk["usage"] = usage(generation.num_prompt_tokens, output.num_tokens)
                yield event(chunk)
        if options.get("include_usage"):
            yield event(self._chunk([]) | {"usage": total_usage(generation)})
        yield DONE

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return self._head("chatcmpl", "chat.completion.chunk") | {"choices": choices}

    def _choice(self, output: Output) -> dict[str, Any] | None:
        is_finished = output.finish_reason is not None
        if self._style.tool_name is not None:
            function = {"name": self._style.tool_name, "arguments": output.delta}
            delta: dict[str, Any] | None = {"tool_calls": [{"type": "function", "index": 0, "function": function}]}
            has_calls = False
        else:
            delta, has_calls = self._delta(output, is_finished=is_finished)
        if delta is None:
            return None
        choice: dict[str, Any] = {"index": output.index, "delta": delta}
        if self._style.num_top_logprobs is not None:
            logprobs = [token_logprob(token, self._style.num_top_logprobs) for token in output.delta]
            choice["logprobs"] = {"content": logprobs}
        if is_finished:
            choice["finish_reason"] = _finish_reason(output, has_calls=has_calls)
            if output.stop_reason is not None:
                choice["stop_reason"] = output.stop_reason
        return choice | {"avg_decoded_tokens_per_iter": 1.0}

    def _delta(self, output: Output, *, is_finished: bool) -> tuple[dict[str, Any] | None, bool]:
        """What is new, or None where a token brings nothing to be seen; and whether there was a call."""
        reasoning, content, calls = self._style.parse(output.text, is_finished=is_finished)
        old_reasoning, old_content, old_calls = self._sent.get(output.index, ("", "", []))
        news = []
        for index, call in enumerate(calls):
            is_new = index >= len(old_calls)
            arguments = "" if is_new else call.arguments[len(old_calls[index].arguments) :]
            if is_new:
                function = {"name": call.name, "arguments": ""}
                news.append({"id": new_id("chatcmpl-tool"), "type": "function", "index": index, "function": function})
                calls[index] = Call(call.name, "")
            elif arguments:
                news.append({"type": "function", "index": index, "function": {"arguments": arguments}})
        delta = {
            "content": content[len(old_content) :],
            "reasoning_content": reasoning[len(old_reasoning) :],
        }
        # A stop word takes back what was sent of it; what was sent is not forgotten.
        self._sent[output.index] = (
            max(reasoning, old_reasoning, key=len),
            max(content, old_content, key=len),
            calls,
        )
        if news:
            return delta | {"tool_calls": news}, True
        return (delta if is_finished or any(delta.values()) else None), bool(calls)
