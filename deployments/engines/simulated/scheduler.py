"""
When the simulated engine does what: who runs, who waits, and when each token is due.

A request waits, in order of arrival, for one of `max_num_seqs` places and for room in the KV cache. Its first token
comes `prefill_base_ms` after that and a further time for each prompt token that the prefix cache lacks. `max_prefills`
prompts are read at once, or all of them, without slowing each other down. Then comes one token each `inter_token_ms`. A
request with several choices takes one place and generates them side by side.
"""

import asyncio
import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from deployments.engines.simulated import tokens as simulated_tokens
from deployments.engines.simulated.kv_cache import PrefixCache
from deployments.engines.simulated.requests import Failure, GenerationRequest

MAX_UNPACED_TOKENS = 64
"""Tokens that an unpaced stream sends at once, before the event loop looks at other connections."""


class Answer(Protocol):
    """Where a generation's tokens go."""

    def send_tokens(self, start: int, end: int) -> None:
        """The tokens at these positions of every choice, `end` excluded; called for streams only."""

    def finish(self, num_cached_tokens: int) -> None: ...

    def fail(self, failure: Failure) -> None: ...


class Generation:
    """One request on its way through the scheduler."""

    __slots__ = (
        "answer",
        "due_ms",
        "inter_token_ms",
        "is_over",
        "is_reading",
        "is_stalled",
        "is_writable",
        "num_cached_tokens",
        "num_steps",
        "num_tokens",
        "position",
        "prefill_ms",
        "request",
    )

    def __init__(self, request: GenerationRequest, answer: Answer) -> None:
        self.request = request
        self.answer = answer
        self.num_tokens = max(1, *(choice.num_tokens for choice in request.choices))
        self.num_steps = self.num_tokens
        """Tokens of the longest choice that will be generated."""
        if request.command.failure is not None:
            self.num_steps = min(self.num_tokens, request.command.num_tokens_before_failure)
        self.position = 0
        self.due_ms = 0.0
        self.inter_token_ms = 0.0
        self.prefill_ms = 0.0
        self.is_reading = False
        """Its prompt is being read."""
        self.num_cached_tokens = 0
        self.is_over = False
        self.is_writable = True
        self.is_stalled = False
        """A token was due while the client did not read."""

    @property
    def max_num_tokens(self) -> int:
        return self.request.num_prompt_tokens + self.num_tokens * len(self.request.choices)

    @property
    def held_tokens(self) -> int:
        return self.request.num_prompt_tokens + self.position * len(self.request.choices)


class TimerWheel:
    """Calls back once for each item, at its time or just after, with one timer for all of a millisecond."""

    def __init__(self, on_due: Callable[[Generation, float], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_due = on_due
        self._buckets: dict[int, list[Generation]] = {}
        self._ticks: list[int] = []
        self._immediate: list[Generation] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_tick = 0

    def now_ms(self) -> float:
        return self._loop.time() * 1000

    def add(self, due_ms: float, item: Generation) -> None:
        if due_ms <= self.now_ms():
            if not self._immediate:
                self._loop.call_soon(self._run_immediate)
            self._immediate.append(item)
            return
        tick = math.ceil(due_ms)
        bucket = self._buckets.get(tick)
        if bucket is not None:
            bucket.append(item)
            return
        self._buckets[tick] = [item]
        heapq.heappush(self._ticks, tick)
        self._arm()

    def _arm(self) -> None:
        tick = self._ticks[0]
        if self._timer is not None:
            if self._timer_tick <= tick:
                return
            self._timer.cancel()
        self._timer_tick = tick
        self._timer = self._loop.call_at(tick / 1000, self._run_due)

    def _run_due(self) -> None:
        self._timer = None
        now_ms = self.now_ms()
        # The loop's clock may stand a little before the time that it woke us for.
        while self._ticks and self._ticks[0] <= now_ms + 0.5:
            tick = heapq.heappop(self._ticks)
            for item in self._buckets.pop(tick):
                self._on_due(item, max(now_ms, tick))
        if self._ticks:
            self._arm()

    def _run_immediate(self) -> None:
        items, self._immediate = self._immediate, []
        now_ms = self.now_ms()
        for item in items:
            self._on_due(item, now_ms)


@dataclass(slots=True)
class Counters:
    """What only grows."""

    num_prompt_tokens: int = 0
    num_completion_tokens: int = 0
    num_prefix_cache_queries: int = 0
    """Prompt tokens that were looked up; `hits` of them were found."""
    num_prefix_cache_hits: int = 0
    num_finished: int = 0
    num_aborted: int = 0
    num_failed: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """The settings that the scheduler needs; units as in the names."""

    max_num_seqs: int
    prefill_base_ms: float
    prefill_tokens_per_s: float
    inter_token_ms: float
    kv_cache_tokens: int
    kv_block_tokens: int
    max_prefills: int | None = None


class Scheduler:
    """`on_death` is called once, when a request has ended the engine."""

    def __init__(self, pace: Pace, on_death: Callable[[], object] = lambda: None) -> None:
        self._pace = pace
        self._on_death = on_death
        self.is_dead = False
        self._prefix_cache = PrefixCache(pace.kv_cache_tokens // pace.kv_block_tokens)
        self._wheel = TimerWheel(self._on_due)
        self._running: set[Generation] = set()
        self._waiting: OrderedDict[Generation, None] = OrderedDict()
        self._num_reserved_tokens = 0
        self._unread: deque[Generation] = deque()
        self._num_reading = 0
        self.counters = Counters()

    @property
    def num_running(self) -> int:
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def kv_cache_usage_ratio(self) -> float:
        held = sum(generation.held_tokens for generation in self._running)
        return min(1.0, held / self._pace.kv_cache_tokens)

    def submit(self, generation: Generation) -> None:
        if self._waiting or not self._has_room(generation):
            self._waiting[generation] = None
        else:
            self._admit(generation)

    def abort(self, generation: Generation) -> None:
        """The client is gone. Does nothing to a generation that is over."""
        if generation.is_over:
            return
        self.counters.num_aborted += 1
        if generation in self._waiting:
            del self._waiting[generation]
            generation.is_over = True
            self._admit_waiting()  # it may have been too large for those behind it
        else:
            self._release(generation)

    def set_writable(self, generation: Generation, *, is_writable: bool) -> None:
        """Back-pressure: while a client does not read, its generation stands still and keeps its place."""
        generation.is_writable = is_writable
        if is_writable and generation.is_stalled:
            generation.is_stalled = False
            self._wheel.add(generation.due_ms, generation)

    def _has_room(self, generation: Generation) -> bool:
        if not self._running:  # a request larger than the cache would wait for ever
            return True
        fits = self._num_reserved_tokens + generation.max_num_tokens <= self._pace.kv_cache_tokens
        return fits and len(self._running) < self._pace.max_num_seqs

    def _admit(self, generation: Generation) -> None:
        pace, request, command = self._pace, generation.request, generation.request.command
        self._running.add(generation)
        self._num_reserved_tokens += generation.max_num_tokens
        for prompt in request.prompts:
            keys = simulated_tokens.block_keys(prompt, pace.kv_block_tokens)
            generation.num_cached_tokens += self._prefix_cache.admit(keys) * pace.kv_block_tokens
        self.counters.num_prompt_tokens += request.num_prompt_tokens
        self.counters.num_prefix_cache_queries += request.num_prompt_tokens
        self.counters.num_prefix_cache_hits += generation.num_cached_tokens
        base_ms = pace.prefill_base_ms if command.prefill_base_ms is None else command.prefill_base_ms
        num_new_tokens = request.num_prompt_tokens - generation.num_cached_tokens
        generation.prefill_ms = base_ms + 1000 * num_new_tokens / pace.prefill_tokens_per_s
        generation.inter_token_ms = pace.inter_token_ms if command.inter_token_ms is None else command.inter_token_ms
        self._unread.append(generation)
        self._read_prompts()

    def _read_prompts(self) -> None:
        max_prefills = self._pace.max_prefills
        while self._unread and (max_prefills is None or self._num_reading < max_prefills):
            generation = self._unread.popleft()
            if generation.is_over:
                continue
            generation.is_reading = True
            self._num_reading += 1
            generation.due_ms = self._wheel.now_ms() + generation.prefill_ms
            if max_prefills is None and not generation.request.is_stream:  # nobody sees its tokens come: one timer
                generation.due_ms += generation.inter_token_ms * max(0, generation.num_steps - 1)
            self._wheel.add(generation.due_ms, generation)

    def _has_read(self, generation: Generation) -> None:
        if generation.is_reading:
            generation.is_reading = False
            self._num_reading -= 1
            self._read_prompts()

    def _on_due(self, generation: Generation, now_ms: float) -> None:
        if generation.is_over:
            return
        was_reading = generation.is_reading
        self._has_read(generation)
        rest_ms = generation.inter_token_ms * max(0, generation.num_steps - 1)
        if was_reading and self._pace.max_prefills is not None and not generation.request.is_stream and rest_ms:
            generation.due_ms += rest_ms
            self._wheel.add(generation.due_ms, generation)
            return
        if generation.request.is_stream:
            self._send_due_tokens(generation, now_ms)
        else:
            self.counters.num_completion_tokens += generation.num_steps * len(generation.request.choices)
            generation.position = generation.num_steps
        if generation.position == generation.num_steps:
            self._end(generation)
        elif not generation.is_stalled:
            self._wheel.add(generation.due_ms, generation)

    def _send_due_tokens(self, generation: Generation, now_ms: float) -> None:
        """More than one token when they are less than a millisecond apart, or we are late."""
        if not generation.is_writable:
            generation.is_stalled = True
            return
        num_due = min(generation.num_steps - generation.position, MAX_UNPACED_TOKENS)
        if generation.inter_token_ms > 0:
            num_due = min(num_due, 1 + int((now_ms - generation.due_ms) / generation.inter_token_ms))
        if num_due == 0:  # it is to fail before its first token
            return
        start = generation.position
        generation.position += num_due
        generation.due_ms += num_due * generation.inter_token_ms
        self.counters.num_completion_tokens += num_due * len(generation.request.choices)
        generation.answer.send_tokens(start, generation.position)

    def _end(self, generation: Generation) -> None:
        failure = generation.request.command.failure
        if failure is None or generation.request.command.num_tokens_before_failure > generation.num_tokens:
            self.counters.num_finished += 1
            self._release(generation)
            generation.answer.finish(generation.num_cached_tokens)
            return
        self.counters.num_failed += 1
        if failure != "hang":  # a request that hangs keeps its place until its client leaves
            self._release(generation)
        generation.answer.fail(failure)
        if failure == "dead" and not self.is_dead:
            self._die()

    def _die(self) -> None:
        """All that runs or waits fails with it."""
        self.is_dead = True
        others = [*self._waiting, *self._running]
        self._waiting.clear()
        for generation in others:
            generation.is_over = True
        for generation in [*self._running]:
            self._release(generation)
        self.counters.num_failed += len(others)
        for generation in others:
            generation.answer.fail("dead")
        self._on_death()

    def _release(self, generation: Generation) -> None:
        generation.is_over = True
        self._has_read(generation)
        self._running.discard(generation)
        self._num_reserved_tokens -= generation.max_num_tokens
        self._admit_waiting()

    def _admit_waiting(self) -> None:
        while self._waiting and self._has_room(next(iter(self._waiting))):
            self._admit(self._waiting.popitem(last=False)[0])
