"""Asking an engine that is ready what its model can do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp
import orjson
from yarl import URL

JsonObject: TypeAlias = dict[str, Any]
Questions: TypeAlias = Mapping[str, JsonObject | None]
"""Paths, each with what is posted there; None: it is only read."""


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """`status` is 0 where the engine did not answer; `document` is empty where that was no JSON object."""

    status: int
    document: JsonObject


async def ask_engine(
    questions: Questions, base: URL, headers: Mapping[str, str], session: aiohttp.ClientSession
) -> dict[str, EngineAnswer]:
    """The answers by path. Nothing is raised: what an engine does not say is not known."""
    answers: dict[str, EngineAnswer] = {}
    for path, body in questions.items():
        method = "GET" if body is None else "POST"
        try:
            async with session.request(method, base.with_path(path), json=body, headers=headers) as response:
                answers[path] = EngineAnswer(response.status, _object(await response.read()))
        except (aiohttp.ClientError, TimeoutError, OSError):
            answers[path] = EngineAnswer(0, {})
    return answers


def _object(body: bytes) -> JsonObject:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
