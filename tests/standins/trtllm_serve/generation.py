"""The engine behind the routes: answers that are made of characters, one token each."""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from settings import Settings

FAILS_AFTER_TOKENS = 3
"""The recorded engine failed there, so that a stream has begun when it is cut."""


class RequestError(Exception):
    """One request failed; the engine goes on."""


class CppExecutorError(Exception):
    """The executor is broken: the server ends itself."""


@dataclass(frozen=True)
class Sampling:
    """
    Attributes:
        max_tokens: None is what the context leaves.
        stop: words that end an answer.
    """

    max_tokens: int | None = None
    n: int = 1
    best_of: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    seed: int = 0
    stop: tuple[str, ...] = ()
    is_stop_shown: bool = False
    is_eos_ignored: bool = False

    def check(self) -> None:
        """
        Raises:
            ValueError: several answers of greedy decoding would be the same answer.
        """
        best_of = self.best_of or self.n
        if best_of < 1 or self.n < 1:
            raise ValueError(f"best_of and n must be at least 1, got best_of={best_of} and n={self.n}")
        is_greedy = self.temperature == 0 or self.top_k == 1
        if best_of > 1 and is_greedy:
            raise ValueError(
                "Greedy decoding in the LLM API does not allow multiple returns. Please set to best_of=1, "
                f"got best_of={best_of}. Please set to best_of=1 or set an environment variable "
                "TLLM_ALLOW_N_GREEDY_DECODING=1 to allow best_of > 1 under the greedy decoding."
            )


@dataclass(frozen=True)
class Script:
    """
    What the answers to one request will be.

    Attributes:
        texts: one for each answer.
        failure: raised after `FAILS_AFTER_TOKENS`, if not None.
    """

    texts: tuple[str, ...]
    failure: Exception | None = None


@dataclass
class Output:
    """
    Attributes:
        delta: what the last step added to `text`; empty in the step that only ends the answer.
    """

    index: int
    text: str = ""
    delta: str = ""
    num_tokens: int = 0
    finish_reason: str | None = None
    stop_reason: str | None = None


@dataclass
class Generation:
    """One prompt's answers, made by a task of the engine's whether anybody reads them or not."""

    request_id: int
    num_prompt_tokens: int
    outputs: list[Output]
    steps: asyncio.Queue[Output | Exception | None] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None
    is_finished: bool = False

    async def __aiter__(self) -> AsyncIterator[Output]:
        while (step := await self.steps.get()) is not None:
            if isinstance(step, Exception):
                raise step
            yield step

    async def result(self) -> "Generation":
        async for _ in self:
            pass
        return self

    def abort(self) -> None:
        if self.task is not None:
            self.task.cancel()


class Engine:
    """
    Args:
        max_seq_len: in tokens, prompt and answer together.
        max_num_tokens: the longest prompt; None is without limit, as with chunked prefill.
    """

    def __init__(
        self, settings: Settings, *, max_seq_len: int, max_num_tokens: int | None, max_batch_size: int
    ) -> None:
        self.settings = settings
        self.max_seq_len = max_seq_len
        self._max_num_tokens = max_num_tokens
        self._slots = asyncio.Semaphore(max_batch_size)
        self._ids = itertools.count(1)
        self.num_active = 0
        self.is_broken = False
        self.stats: deque[dict[str, int]] = deque([{"iter": 1, "numActiveRequests": 0}], maxlen=1000)
        self._iterations = itertools.count(2)
        self.finish_reasons: dict[str, int] = {}
        self.num_requests = 0

    def submit(self, num_prompt_tokens: int, script: Script, sampling: Sampling, *, is_stream: bool) -> Generation:
        """
        Raises:
            ValueError: the prompt does not fit, or the sampling contradicts itself.
        """
        sampling.check()
        max_tokens = self._max_tokens(num_prompt_tokens, sampling.max_tokens)
        self.num_requests += 1
        if self._is_failing() and self.settings.fail != "unhealthy":
            script = Script(script.texts, self._scripted_failure(is_stream=is_stream) or script.failure)
        outputs = [Output(index) for index in range(sampling.n)]
        generation = Generation(next(self._ids), num_prompt_tokens, outputs)
        generation.task = asyncio.create_task(self._run(generation, script, sampling, max_tokens))
        self.settings.note("request", id=generation.request_id, is_stream=is_stream)
        return generation

    @property
    def is_healthy(self) -> bool:
        return not self.is_broken and not (self.settings.fail == "unhealthy" and self._is_failing())

    def _is_failing(self) -> bool:
        return bool(self.settings.fail) and self.num_requests >= self.settings.fail_after + (
            self.settings.fail != "unhealthy"
        )

    def _scripted_failure(self, *, is_stream: bool) -> Exception | None:
        if self.settings.fail == "executor_error":
            return CppExecutorError("scripted executor failure")
        if self.settings.fail == "engine_error" or (self.settings.fail == "cut_stream" and is_stream):
            return RequestError("scripted engine failure")
        return None

    def _max_tokens(self, num_prompt_tokens: int, asked: int | None) -> int:
        if self._max_num_tokens is not None and num_prompt_tokens > self._max_num_tokens:
            raise ValueError(
                f"The sum of prompt length ({num_prompt_tokens / 1}), query length (0) should not exceed "
                f"max_num_tokens ({self._max_num_tokens})"
            )
        left = self.max_seq_len - num_prompt_tokens
        if left <= 0:
            raise ValueError(
                f"`default_max_tokens` ({left}) must be greater than 0, `default_max_tokens` ({left}) = max_seq_len "
                f"({self.max_seq_len}) - `splited_prompt_len` ({num_prompt_tokens}) - `query_token_len` (0)"
            )
        if asked is None:
            return left
        if asked <= 0:
            raise ValueError(f"max_tokens must be greater than 0, got {asked}")
        return min(asked, left)

    async def _run(self, generation: Generation, script: Script, sampling: Sampling, max_tokens: int) -> None:
        try:
            async with self._slots:
                self.num_active += 1
                try:
                    await self._generate(generation, script, sampling, max_tokens)
                finally:
                    self.num_active -= 1
        except asyncio.CancelledError:
            self.settings.note("abort", id=generation.request_id, num_tokens=generation.outputs[0].num_tokens)
        except (RequestError, CppExecutorError) as error:
            self.is_broken = isinstance(error, CppExecutorError)
            generation.steps.put_nowait(error)
        finally:
            generation.is_finished = True
            generation.steps.put_nowait(None)
            self.stats.append({"iter": next(self._iterations), "numActiveRequests": self.num_active})

    async def _generate(self, generation: Generation, script: Script, sampling: Sampling, max_tokens: int) -> None:
        await asyncio.sleep(self.settings.prefill_ms / 1000)
        for num_tokens in itertools.count(1):
            if script.failure is not None and num_tokens > FAILS_AFTER_TOKENS:
                raise script.failure
            for output in generation.outputs:
                if output.finish_reason is None:
                    _advance(output, script.texts[output.index], sampling, max_tokens)
                    generation.steps.put_nowait(Output(**vars(output)))
            if all(output.finish_reason for output in generation.outputs):
                break
            await asyncio.sleep(self.settings.token_ms / 1000)
        for output in generation.outputs:
            reason = str(output.finish_reason)
            self.finish_reasons[reason] = self.finish_reasons.get(reason, 0) + 1
        self.settings.note("finish", id=generation.request_id, num_tokens=generation.outputs[0].num_tokens)


def _advance(output: Output, script: str, sampling: Sampling, max_tokens: int) -> None:
    """One token more, or the end of the script."""
    is_over = output.num_tokens >= len(script)
    if is_over and not (sampling.is_eos_ignored and script):
        output.delta, output.finish_reason = "", "stop"
        return
    output.delta = script[output.num_tokens % len(script)]
    output.num_tokens += 1
    text = output.text + output.delta
    for word in sampling.stop:
        if word and text.endswith(word):
            output.finish_reason, output.stop_reason = "stop", word
            if not sampling.is_stop_shown:
                # What was sent of the word before its last token stays sent, as in the real server.
                output.delta, text = "", text.removesuffix(word)
    output.text = text
    if output.finish_reason is None and output.num_tokens >= max_tokens:
        output.finish_reason = "length"
