"""Ollama's own routes."""

import json

from aiohttp import web
from ollama_runner import LoadError, Runner
from ollama_store import Store, full_name

FAMILY = "llama"


def failure(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)


class NativeApi:
    def __init__(self, store: Store, runner: Runner) -> None:
        self._store = store
        self._runner = runner

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/", self._root)
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/tags", self._tags)
        app.router.add_get("/api/ps", self._ps)
        app.router.add_post("/api/show", self._show)
        app.router.add_post("/api/pull", self._pull)
        app.router.add_post("/api/generate", self._generate)
        app.router.add_post("/api/embed", self._embed)

    async def _root(self, _: web.Request) -> web.Response:
        return web.Response(text="Ollama is running")

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.33.0"})

    async def _tags(self, _: web.Request) -> web.Response:
        return web.json_response({"models": [{"name": name, "model": name} for name in self._store.names()]})

    async def _ps(self, _: web.Request) -> web.Response:
        loaded = [
            {"name": name, "model": name, "size": 1, "size_vram": 0, "context_length": context}
            for name, context in self._runner.loaded.items()
        ]
        return web.json_response({"models": loaded})

    async def _show(self, request: web.Request) -> web.Response:
        name = (await request.json()).get("model", "")
        if not name:
            return failure(400, "model is required")
        model = self._store.find(name)
        if model is None:
            return failure(404, f"model '{name}' not found")
        info = {"general.architecture": FAMILY, f"{FAMILY}.context_length": model["context"]}
        return web.json_response({"details": {}, "model_info": info, "capabilities": model["capabilities"]})

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)
        for line in self._store.pull(body.get("model", "")):
            await answer.write(json.dumps(line).encode() + b"\n")
        return answer

    async def _generate(self, request: web.Request) -> web.Response:
        """Only what Ollama calls loading and unloading: a request without a prompt."""
        body = await request.json()
        if body.get("keep_alive") == 0:
            self._runner.loaded.pop(full_name(body.get("model", "")), None)
            return web.json_response({"response": "", "done": True, "done_reason": "unload"})
        return await self._load(request, "completion", "generate", {"response": "", "done_reason": "load"})

    async def _embed(self, request: web.Request) -> web.Response:
        return await self._load(request, "embedding", "embeddings", {"embeddings": [[1.0, 0.0]]})

    async def _load(self, request: web.Request, capability: str, what: str, answer: dict[str, object]) -> web.Response:
        name = full_name((await request.json()).get("model", ""))
        model = self._store.find(name)
        if model is None:
            return failure(404, f"model '{name}' not found")
        if capability not in model["capabilities"]:
            return failure(400, f'"{name}" does not support {what}')
        try:
            self._runner.load(name, model)
        except LoadError as error:
            return failure(500, str(error))
        return web.json_response({"model": name, "done": True, **answer})
