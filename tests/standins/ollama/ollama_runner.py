"""The loaded model: its context, its slots, and words instead of a mind."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

WORDS = ["The", " house", " on", " the", " hill", " has", " many", " rooms", ","]
DEFAULT_TOKENS = 24
MAX_QUEUE = 512
EXAMPLES = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": []}


class LoadError(Exception):
    pass


class BusyError(Exception):
    pass


@dataclass
class Answer:
    text: str
    num_prompt_tokens: int
    num_tokens: int
    done_reason: str


class Runner:
    def __init__(self, context: int, num_parallel: int) -> None:
        self._asked_context = context
        self._slots = asyncio.Semaphore(num_parallel)
        self._num_pending = 0
        self.loaded: dict[str, int] = {}
        """Names with the context that requests get."""

    def load(self, name: str, model: dict[str, Any]) -> None:
        if "STANDIN_LOAD_FAILS" in os.environ:
            raise LoadError(os.environ["STANDIN_LOAD_FAILS"])
        self.loaded[name] = min(self._asked_context, model["context"])

    def answer(self, name: str, prompt: str, options: dict[str, Any]) -> Answer:
        """A prompt over the context is cut without a word."""
        context = self.loaded[name]
        num_prompt_tokens = min(len(prompt.split()) or 1, context - 1)
        wanted = options.get("num_predict")
        num_tokens = min(DEFAULT_TOKENS if wanted is None else wanted, context - num_prompt_tokens)
        text, reason = "".join(WORDS[i % len(WORDS)] for i in range(num_tokens)), "stop" if wanted is None else "length"
        for stop in options.get("stop", []):
            if stop in text:
                text, reason = text.partition(stop)[0], "stop"
        return Answer(text, num_prompt_tokens, num_tokens, reason)

    async def tokens(self, answer: Answer) -> AsyncIterator[str]:
        """The answer's text, piece by piece, once there is a free slot."""
        if self._num_pending >= MAX_QUEUE:
            raise BusyError
        self._num_pending += 1
        try:
            async with self._slots:
                left = answer.text
                for i in range(answer.num_tokens):
                    await asyncio.sleep(float(os.environ.get("STANDIN_TOKEN_MS", "5")) / 1000)
                    word = WORDS[i % len(WORDS)]
                    piece, left = left[: len(word)], left[len(word) :]
                    if piece:
                        yield piece
        finally:
            self._num_pending -= 1


def example(schema: dict[str, Any]) -> Any:
    """The least that a schema takes."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type", "object") == "object":
        return {name: example(schema["properties"][name]) for name in schema.get("required", [])}
    return EXAMPLES[schema["type"]]
