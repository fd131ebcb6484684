"""The routes, as 1.3.0rc3 has them. Nothing here asks for a key, and nothing checks the model's name."""

import asyncio
import signal
import time
import traceback
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chat import ChatStream, ChatStyle, chat_body
from completions import completion_body, completion_events, prompts_of
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from generation import CppExecutorError, Engine, Generation, RequestError, Sampling
from grammar import constrained_text
from prompts import Script, render, script_of, text_of
from requests_schema import request_models
from responses import ResponseStream, messages_of, response_body
from settings import Settings
from wire import ChunkHead, error_response

DISCONNECT_POLL_S = 1.0
"""How often the real server looks whether its client is still there."""


@dataclass
class Server:
    """
    The handlers of one server.

    Attributes:
        model: the name that is listed.
        is_guided: a guided_decoding_backend is set; without one response_format is ignored.
    """

    settings: Settings
    engine: Engine
    model: str
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    is_guided: bool = False
    has_iter_stats: bool = False
    has_perf_metrics: bool = False
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    watchers: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_id_stable(self) -> bool:
        return self.settings.version == "1.4.0rc1"

    def submit(self, body: dict[str, Any], prompt: str, last: str, raw: Request) -> Generation:
        stop = body.get("stop") or ()
        sampling = Sampling(
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens") or body.get("max_output_tokens"),
            n=body.get("n", 1),
            best_of=body.get("best_of"),
            temperature=body.get("temperature"),
            top_k=body.get("top_k"),
            seed=body.get("seed") or 0,
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            is_stop_shown=bool(body.get("include_stop_str_in_output")),
            is_eos_ignored=bool(body.get("ignore_eos")),
        )
        sampling.check()
        script = script_of(prompt, last, n=sampling.n, seed=sampling.seed)
        if (guided := self._guided(body)) is not None:
            script = Script((guided,) * sampling.n, script.failure)
        generation = self.engine.submit(len(prompt), script, sampling, is_stream=bool(body.get("stream")))
        self._watch(raw, generation)
        return generation

    def _guided(self, body: dict[str, Any]) -> str | None:
        rule = body.get("response_format")
        if not self.is_guided or not rule:
            return None
        if rule["type"] == "json_schema":
            wrapper = rule.get("json_schema")
            # Up to 1.3.0rc3 the wrapper {name, strict, schema} itself is what the grammar gets.
            schema = wrapper.get("schema", wrapper) if self.settings.version == "1.4.0rc1" and wrapper else wrapper
            return constrained_text("json", schema)
        return constrained_text(rule["type"], rule.get("schema_"))

    def _watch(self, raw: Request, generation: Generation) -> None:
        """The cancel API: a client that went away."""

        async def watch() -> None:
            while not await raw.is_disconnected():  # noqa: ASYNC110  as the real server polls
                await asyncio.sleep(DISCONNECT_POLL_S)
            if not generation.is_finished:
                generation.abort()

        async def watch_until_finished() -> None:
            watcher = asyncio.create_task(watch())
            while not generation.is_finished and not watcher.done():
                await asyncio.wait({watcher}, timeout=0.05)
            watcher.cancel()

        task = asyncio.create_task(watch_until_finished())
        self.watchers.add(task)
        task.add_done_callback(self.watchers.discard)

    async def streamed(self, events: AsyncIterator[str]) -> AsyncIterator[str]:
        """The events until something fails; then the connection is cut, and the process ends if the executor broke."""
        try:
            async for one in events:
                yield one
        except CppExecutorError:
            traceback.print_exc()
            signal.raise_signal(signal.SIGINT)
            raise
        except RequestError:
            traceback.print_exc()
            raise

    def stream(self, events: AsyncIterator[str]) -> StreamingResponse:
        return StreamingResponse(self.streamed(events), media_type="text/event-stream")

    def style(self, body: dict[str, Any]) -> ChatStyle:
        choice = body.get("tool_choice")
        return ChatStyle(
            model=body["model"],
            has_tool_parser=bool(self.tool_parser and body.get("tools")),
            reasoning_parser=self.reasoning_parser,
            tool_name=choice["function"]["name"] if isinstance(choice, dict) else None,
            num_top_logprobs=(body.get("top_logprobs") or 0) if body.get("logprobs") else None,
            is_id_stable=self.is_id_stable,
            stream_options=body.get("stream_options") or {},
        )

    async def chat(self, body: dict[str, Any], raw: Request) -> Response:
        messages = body["messages"]
        prompt = render(messages, len(body.get("tools") or ()), has_generation_prompt=body["add_generation_prompt"])
        last = text_of(messages[-1].get("content")) if messages else ""
        generation = self.submit(body, prompt, last, raw)
        if body.get("stream"):
            return self.stream(ChatStream(self.style(body)).events(generation))
        return JSONResponse(chat_body(await generation.result(), self.style(body)))

    async def completion(self, body: dict[str, Any], raw: Request) -> Response:
        generations = [self.submit(body, text, text, raw) for text, _ in prompts_of(body["prompt"])]
        num_logprobs = body.get("logprobs")
        if body.get("stream"):
            head = ChunkHead(body["model"], is_stable=self.is_id_stable)
            has_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return self.stream(completion_events(generations, head, num_logprobs, has_usage=has_usage))
        finished = [await generation.result() for generation in generations]
        return JSONResponse(completion_body(finished, body["model"], num_logprobs))

    async def responses(self, body: dict[str, Any], raw: Request) -> Response:
        messages = messages_of(body)
        generation = self.submit(body, render(messages), text_of(messages[-1]["content"]) if messages else "", raw)
        response_id = f"resp_{uuid.uuid4().hex}"
        if body.get("stream"):
            return self.stream(ResponseStream(response_id, self.model, body).events(generation))
        answer = response_body(response_id, self.model, body, await generation.result())
        if body.get("store"):
            self.stored[response_id] = answer
        return JSONResponse(answer)


def create_app(server: Server) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        server.settings.note("shutdown")

    app = FastAPI(lifespan=lifespan)

    @app.exception_handler(RequestValidationError)
    async def refused(_: Request, error: RequestValidationError) -> Response:
        return error_response(str(error.errors()))

    _add_generating_routes(app, server)
    _add_status_routes(app, server)
    _add_statistics_routes(app, server)
    _add_control_routes(app, server)
    return app


async def _answered(handler: Any, body: Any, raw: Request) -> Any:
    """Whatever goes wrong with a request is the client's fault to the real server: 400."""
    try:
        return await handler(body.model_dump(), raw)
    except CppExecutorError:
        traceback.print_exc()
        signal.raise_signal(signal.SIGINT)
        return None
    except (RequestError, ValueError) as error:
        traceback.print_exc()
        return error_response(str(error))


def _add_generating_routes(app: FastAPI, server: Server) -> None:
    models = request_models(server.settings.version)
    chat_request = models.model("ChatCompletionRequest")
    completion_request = models.model("CompletionRequest")
    responses_request = models.model("ResponsesRequest")

    @app.post("/v1/completions")
    async def openai_completion(request: completion_request, raw_request: Request) -> Any:
        return await _answered(server.completion, request, raw_request)

    @app.post("/v1/chat/completions")
    async def openai_chat(request: chat_request, raw_request: Request) -> Any:
        return await _answered(server.chat, request, raw_request)

    @app.post("/v1/responses")
    async def openai_responses(request: responses_request, raw_request: Request) -> Any:
        return await _answered(server.responses, request, raw_request)

    @app.get("/v1/responses/{response_id}")
    async def get_response(response_id: str) -> Response:
        return _stored(server, response_id) or JSONResponse(server.stored[response_id])

    @app.delete("/v1/responses/{response_id}")
    async def delete_response(response_id: str) -> Response:
        if (error := _stored(server, response_id)) is not None:
            return error
        del server.stored[response_id]
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})


def _stored(server: Server, response_id: str) -> Response | None:
    """The error that says what is wrong with an id, or None."""
    if not response_id.startswith("resp"):
        message = f"Invalid 'response_id': '{response_id}'. Expected an ID that begins with 'resp'."
        return error_response(message, kind="InvalidRequestError")
    if response_id not in server.stored:
        return error_response(f"Response with id '{response_id}' not found.", 404, "InvalidRequestError")
    return None


def _add_status_routes(app: FastAPI, server: Server) -> None:
    @app.get("/health")
    async def health() -> Response:
        if server.engine.is_healthy:
            return Response(status_code=200)
        return PlainTextResponse("LLM is unavailable. Please check the server logs for more details.", 503)

    @app.get("/health_generate")
    async def health_generate(raw_request: Request) -> Response:
        try:
            await server.submit({"max_tokens": 1}, "<user>hi<assistant>", "hi", raw_request).result()
        except (RequestError, CppExecutorError, ValueError):
            return PlainTextResponse("Generation health check failed", 500)
        return PlainTextResponse("Generation health check OK")

    @app.get("/version")
    async def version() -> Response:
        return JSONResponse({"version": server.settings.version})

    @app.get("/v1/models")
    async def get_model() -> Response:
        card = {"id": server.model, "object": "model", "created": int(time.time()), "owned_by": "tensorrt_llm"}
        return JSONResponse({"object": "list", "data": [card]})


def _add_statistics_routes(app: FastAPI, server: Server) -> None:
    @app.get("/metrics")
    async def get_iteration_stats() -> Response:
        server.settings.note("call", path="/metrics")
        stats = list(server.engine.stats) if server.has_iter_stats else []
        server.engine.stats.clear()
        return JSONResponse(stats)

    @app.get("/perf_metrics")
    async def get_perf_metrics() -> Response:
        return JSONResponse([])

    @app.get("/server_info")
    async def get_server_info() -> Response:
        return JSONResponse({"disaggregated_params": {}})

    if server.has_perf_metrics:

        @app.get("/prometheus/metrics", include_in_schema=False)
        async def prometheus() -> Response:
            return PlainTextResponse(_prometheus_text(server.engine), media_type="text/plain; version=0.0.4")


def _prometheus_text(engine: Engine) -> str:
    labels = 'engine_type="undefined",model_name="undefined"'
    lines = [
        "# HELP trtllm_request_success_total Count of successfully processed requests.",
        "# TYPE trtllm_request_success_total counter",
        *(
            f'trtllm_request_success_total{{{labels},finished_reason="{reason}"}} {count}.0'
            for reason, count in engine.finish_reasons.items()
        ),
        "# HELP trtllm_kv_cache_utilization KV cache utilization",
        "# TYPE trtllm_kv_cache_utilization gauge",
        f"trtllm_kv_cache_utilization{{{labels}}} {min(1.0, engine.num_active / 100)}",
    ]
    return "\n".join(lines) + "\n"


def _add_control_routes(app: FastAPI, server: Server) -> None:
    """What nobody from outside should reach; each call is recorded, so that a test can say that nobody did."""
    models = request_models(server.settings.version)
    memory_request = models.model("MemoryUpdateRequest")
    weights_request = models.model("UpdateWeightsRequest")

    @app.post("/kv_cache_events")
    async def get_kv_cache_events() -> Response:
        server.settings.note("call", path="/kv_cache_events")
        return JSONResponse([])

    @app.post("/release_memory")
    async def release_memory(request: memory_request) -> Response:
        server.settings.note("call", path="/release_memory", tags=request.tags)
        return JSONResponse({"status": "success"})

    @app.post("/resume_memory")
    async def resume_memory(request: memory_request) -> Response:
        server.settings.note("call", path="/resume_memory", tags=request.tags)
        return JSONResponse({"status": "success"})

    @app.post("/update_weights")
    async def update_weights(request: weights_request) -> Response:
        server.settings.note("call", path="/update_weights", is_finalize=request.weights is None)
        return JSONResponse({"status": "success"})

    @app.get("/steady_clock_offset")
    async def get_steady_clock_offset() -> Response:
        now = time.monotonic()
        return JSONResponse({"receive_ts": now, "transmit_ts": now})

    @app.post("/steady_clock_offset")
    async def set_steady_clock_offset(request: Request) -> Response:
        server.settings.note("call", path="/steady_clock_offset")
        await request.body()
        return Response(status_code=200)
