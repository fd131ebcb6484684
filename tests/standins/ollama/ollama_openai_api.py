"""Ollama's OpenAI routes, with their accent."""

import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from ollama_runner import Answer, BusyError, LoadError, Runner, example
from ollama_store import Model, Store, full_name

Json = dict[str, Any]

GO_ERROR = "json: cannot unmarshal {} into Go struct field {} of type {}"


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def envelope(status: int, message: str) -> web.Response:
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
    return web.json_response({"error": {"message": message, "type": kind, "param": None, "code": None}}, status=status)


class OpenAiApi:
    def __init__(self, store: Store, runner: Runner) -> None:
        self._store = store
        self._runner = runner

    def add_routes(self, app: web.Application) -> None:
        app.middlewares.append(self._errors)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/embeddings", self._embeddings)

    @web.middleware
    async def _errors(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return envelope(refused.status, str(refused))
        except LoadError as error:
            return envelope(500, str(error))
        except BusyError:
            return envelope(503, "server busy, please try again.  maximum pending requests exceeded")

    async def _models(self, _: web.Request) -> web.Response:
        cards = [{"id": name, "object": "model", "created": 1, "owned_by": "library"} for name in self._store.names()]
        return web.json_response({"object": "list", "data": cards})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await _json(request)
        if not body.get("messages"):
            raise Refused(400, "[] is too short - 'messages'")
        if not isinstance(body["messages"], list):
            raise Refused(400, GO_ERROR.format("string", "ChatCompletionRequest.messages", "[]openai.Message"))
        for message in body["messages"]:
            _check_message(message)
        name, _ = self._loaded(body, "completion", "chat")
        answer = self._runner.answer(
            name, " ".join(str(each.get("content")) for each in body["messages"]), _options(body)
        )
        _obey_format(answer, body)
        calls = [] if body["messages"][-1]["role"] == "tool" else _tool_calls(body)
        identity = {"id": f"chatcmpl-{time.time_ns() % 999}", "model": body["model"], "created": int(time.time())}
        identity["system_fingerprint"] = "fp_ollama"
        if body.get("stream"):
            return await self._stream(request, self._chat_events(identity, answer, calls, body))
        text = "" if calls else "".join([piece async for piece in self._runner.tokens(answer)])
        message: Json = {"role": "assistant", "content": text} | ({"tool_calls": calls} if calls else {})
        reason = "tool_calls" if calls else answer.done_reason
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return web.json_response(
            {**identity, "object": "chat.completion", "choices": [choice], "usage": _usage(answer)}
        )

    async def _chat_events(self, identity: Json, answer: Answer, calls: list[Json], body: Json) -> AsyncIterator[Json]:
        chunk = {**identity, "object": "chat.completion.chunk"}
        is_old = "STANDIN_OLD" in os.environ
        deltas: list[Json] = [{"content": "", "tool_calls": calls}] if calls else []
        is_first = True
        async for delta in self._deltas(answer, deltas):
            role = {"role": "assistant"} if is_first or is_old else {}
            yield chunk | {"choices": [{"index": 0, "delta": role | delta, "finish_reason": None}]}
            is_first = False
        reason = "tool_calls" if calls and not is_old else "stop" if calls else answer.done_reason
        delta = {"role": "assistant", "content": ""} if is_old else {}
        yield chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        if (body.get("stream_options") or {}).get("include_usage"):
            yield chunk | {"choices": [], "usage": _usage(answer)}

    async def _deltas(self, answer: Answer, deltas: list[Json]) -> AsyncIterator[Json]:
        if deltas:
            for delta in deltas:
                yield delta
            return
        async for piece in self._runner.tokens(answer):
            yield {"content": piece}

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body = await _json(request)
        if not isinstance(body.get("prompt", ""), str):
            kind = "array" if isinstance(body["prompt"], list) else "value"
            raise Refused(400, GO_ERROR.format(kind, "CompletionRequest.prompt", "string"))
        name, _ = self._loaded(body, "completion", "generate")
        answer = self._runner.answer(name, body.get("prompt", ""), _options(body))
        if not body.get("prompt"):
            answer = Answer("", 0, 0, "load")
        identity = {"id": f"cmpl-{time.time_ns() % 999}", "object": "text_completion", "model": body["model"]}
        identity |= {"created": int(time.time()), "system_fingerprint": "fp_ollama"}
        if body.get("stream"):
            return await self._stream(request, self._completion_events(identity, answer, body))
        text = "".join([piece async for piece in self._runner.tokens(answer)])
        choice = {"text": text, "index": 0, "finish_reason": answer.done_reason}
        return web.json_response({**identity, "choices": [choice], "usage": _usage(answer)})

    async def _completion_events(self, identity: Json, answer: Answer, body: Json) -> AsyncIterator[Json]:
        has_usage = (body.get("stream_options") or {}).get("include_usage")
        zeros = {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}} if has_usage else {}
        async for piece in self._runner.tokens(answer):
            yield identity | {"choices": [{"text": piece, "index": 0, "finish_reason": None}], **zeros}
        yield identity | {"choices": [{"text": "", "index": 0, "finish_reason": answer.done_reason}], **zeros}
        if has_usage:
            yield identity | {"choices": [], "usage": _usage(answer)}

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await _json(request)
        texts = [body["input"]] if isinstance(body.get("input"), str) else body.get("input")
        if not texts:
            raise Refused(400, "invalid input")
        if not all(isinstance(text, str) for text in texts):
            raise Refused(400, "invalid input type")
        self._loaded(body, "embedding", "embeddings")
        data = [{"object": "embedding", "embedding": [1.0, 0.0], "index": index} for index in range(len(texts))]
        num_tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": num_tokens, "total_tokens": num_tokens}
        return web.json_response({"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _stream(self, request: web.Request, events: AsyncIterator[Json]) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        num_left = int(os.environ.get("STANDIN_BREAKS_AFTER", "-1"))
        async for event in events:
            if num_left == 0:  # an error in mid-stream becomes an empty event; then nothing more comes
                empty = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}], "model": ""}
                await answer.write(b"data: " + json.dumps(event | empty).encode() + b"\n\n")
                return answer
            num_left -= 1
            await answer.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await answer.write(b"data: [DONE]\n\n")
        return answer

    def _loaded(self, body: Json, capability: str, what: str) -> tuple[str, Model]:
        name = full_name(body.get("model", ""))
        model = self._store.find(name)
        if model is None:
            raise Refused(404, f"model '{body.get('model', '')}' not found")
        if capability not in model["capabilities"]:
            raise Refused(400, f'"{body["model"]}" does not support {what}')
        self._runner.load(name, model)
        return name, model


async def _json(request: web.Request) -> Json:
    try:
        return await request.json()
    except json.JSONDecodeError as error:
        raise Refused(400, f"invalid character in JSON: {error}") from error


def _check_message(message: Json) -> None:
    calls = message.get("tool_calls")
    if not isinstance(message.get("content"), str | list) and calls is None:
        raise Refused(400, "invalid message content type: <nil>")
    for call in calls or []:
        try:
            json.loads(call["function"]["arguments"])
        except json.JSONDecodeError:
            raise Refused(400, "invalid tool call arguments") from None


def _options(body: Json) -> Json:
    """`max_completion_tokens`, `n`, `tool_choice`, `logit_bias` and what else it does not know are not read."""
    options: Json = {}
    stop = body.get("stop")
    if stop:
        options["stop"] = [stop] if isinstance(stop, str) else stop
    if body.get("max_tokens") is not None:
        options["num_predict"] = body["max_tokens"]
    return options


def _obey_format(answer: Answer, body: Json) -> None:
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        answer.text, answer.done_reason = json.dumps(example(response_format["json_schema"]["schema"])), "stop"


def _tool_calls(body: Json) -> list[Json]:
    if not body.get("tools"):
        return []
    function = body["tools"][0]["function"]
    arguments = json.dumps(example(function.get("parameters") or {}))
    call = {"name": function["name"], "arguments": arguments}
    return [{"id": f"call_{time.time_ns() % 10**8:08d}", "index": 0, "type": "function", "function": call}]


def _usage(answer: Answer) -> Json:
    total = answer.num_prompt_tokens + answer.num_tokens
    return {
        "prompt_tokens": answer.num_prompt_tokens,
        "completion_tokens": answer.num_tokens,
        "total_tokens": total,
    }
