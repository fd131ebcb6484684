"""
vLLM's own routes for sleeping, before an engine that only notes what it is told.

    PYTHON_OF_VLLM vllm_sleep_server.py PORT

Sleeping itself needs a GPU; which routes there are, what they take and what they answer is seen without one. Each call
of the engine is a line on stdout.
"""

import json
import sys

import uvicorn
from fastapi import FastAPI
from vllm.entrypoints.serve.dev.rpc.api_router import attach_router as attach_rpc
from vllm.entrypoints.serve.dev.sleep.api_router import attach_router as attach_sleep


def note(call: list[object]) -> None:
    sys.stdout.write(json.dumps(call) + "\n")
    sys.stdout.flush()


class NotingEngine:
    def __init__(self) -> None:
        self._is_asleep = False

    async def sleep(self, level: int = 1, mode: str = "abort") -> None:  # noqa: ARG002  vLLM's signature
        self._is_asleep = True
        note(["sleep", level])

    async def wake_up(self, tags: list[str] | None = None) -> None:
        self._is_asleep = tags == ["weights"]
        note(["wake_up", tags])

    async def is_sleeping(self) -> bool:
        return self._is_asleep

    async def collective_rpc(self, method: str, **_: object) -> list[None]:
        note(["collective_rpc", method])
        return [None]


app = FastAPI()
app.state.engine_client = NotingEngine()
attach_sleep(app)
attach_rpc(app)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
