"""An engine of any number of requests at once that answers each with its own words; a test says when, and with what."""

import asyncio
from collections import Counter

from aiohttp import web

from router.replicas.registry import Replica


class EchoEngine:
    """
    `asked` counts each prompt. While `open` is not set, requests wait, but for those
    `never_held`. `statuses` are what prompts are answered instead of 200, one after another.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.statuses: dict[str, list[int]] = {}
        self.never_held: frozenset[str] = frozenset()
        self.open = asyncio.Event()
        self.open.set()
        self.num_running = 0
        self.most_running = 0
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embed)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.open.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def replica(self, replica_id: str, max_num_seqs: int | None = 8) -> Replica:
        return Replica(
            replica_id=replica_id, model="m", host="127.0.0.1", port=self.port, secret="s",
            engine="vllm", profile="vllm", max_num_seqs=max_num_seqs,
        )  # fmt: skip

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        status = await self._take(prompt)
        if status != 200:
            return web.json_response({"error": {"message": "no", "type": "x", "code": None}}, status=status)
        choice = {"index": 0, "message": {"role": "assistant", "content": f"re: {prompt}"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        document = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"]}
        return web.json_response({**document, "choices": [choice], "usage": usage})

    async def _embed(self, request: web.Request) -> web.Response:
        body = await request.json()
        await self._take(str(body["input"]))
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return web.json_response({"object": "list", "model": "m", "data": [vector], "usage": usage})

    async def _take(self, prompt: str) -> int:
        self.asked[prompt] += 1
        self.num_running += 1
        self.most_running = max(self.most_running, self.num_running)
        try:
            if prompt not in self.never_held:
                await self.open.wait()
        finally:
            self.num_running -= 1
        self.answered[prompt] += 1
        statuses = self.statuses.get(prompt)
        return statuses.pop(0) if statuses else 200
