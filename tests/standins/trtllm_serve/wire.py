"""How answers are written: ids, usage, errors and events."""

import json
import time
import uuid
from typing import Any

from fastapi.responses import JSONResponse
from generation import Generation


def new_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex}"


def event(body: Any, tail: str = "\n\n") -> str:
    return f"data: {json.dumps(body, separators=(',', ':'), ensure_ascii=False)}{tail}"


DONE = "data: [DONE]\n\n"


def error_response(message: str, status: int = 400, kind: str = "BadRequestError") -> JSONResponse:
    body = {"object": "error", "message": message, "type": kind, "param": None, "code": status}
    return JSONResponse(body, status_code=status)


def usage(num_prompt_tokens: int, num_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": num_prompt_tokens,
        "total_tokens": num_prompt_tokens + num_tokens,
        "completion_tokens": num_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def total_usage(generation: Generation) -> dict[str, Any]:
    return usage(generation.num_prompt_tokens, sum(output.num_tokens for output in generation.outputs))


class ChunkHead:
    """
    The first members of a stream's chunks. Up to 1.3.0rc3 each chunk has an id and a time of its own.

    Args:
        is_stable: one id for the whole stream, as later versions have it.
    """

    def __init__(self, model: str, *, is_stable: bool) -> None:
        self._model = model
        self._is_stable = is_stable
        self._fixed: dict[str, tuple[str, int]] = {}

    def __call__(self, prefix: str, kind: str) -> dict[str, Any]:
        made = (new_id(prefix), int(time.time()))
        if self._is_stable:
            made = self._fixed.setdefault("one", made)
        return {"id": made[0], "object": kind, "created": made[1], "model": self._model}


def token_logprob(token: str, num_top: int) -> dict[str, Any]:
    one = {"token": token, "logprob": -0.5, "bytes": list(token.encode())}
    return one | {"top_logprobs": [one] * min(num_top, 1)}
