"""The loads of the bench. All of them are closed loops: a client asks again soon after its answer."""

import json
from dataclasses import dataclass
from enum import StrEnum

MODEL = "simulated"
PROMPT_WORDS = 160
"""About 1 kB of prompt: a short turn of a chat. A router parses it once a request."""


class Pace(StrEnum):
    """How fast the engines are after prefill; each pace needs a fresh start of engines and contender."""

    BURST = "burst"
    """All tokens at once: what is left is the cost of moving an answer."""

    PACED = "paced"
    """Like a model that generates: a token each 20 ms."""

    SLOW = "slow"
    """Like a busy one: a token each 100 ms, so that hundreds of streams are little work."""

    @property
    def inter_token_ms(self) -> float:
        return {"burst": 0.0, "paced": 20.0, "slow": 100.0}[self]


PREFILL_MS = 20.0
"""At every pace."""

THINK_MS = 10.0
"""Mean of the pause between an answer and the next request, which is anything from 0 to twice as long. Without it
clients fall into step, and the TTFT is that of the queue which they form together.

Prefill and pause bound the rate of the closed loop: contenders that keep up are measured at the same load, below
saturation."""


class Unit(StrEnum):
    """What server CPU is divided by."""

    REQUEST = "request"
    TOKEN = "token"  # noqa: S105 - a word of the field, not a secret


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    pace: Pace
    unit: Unit
    stream: bool
    num_tokens: int
    """Completion tokens that every request asks for, and must get."""
    num_clients: int
    """Requests in flight, each on its own kept connection."""

    @property
    def answer_s(self) -> float:
        """From asking to the last token, when nothing is in the way."""
        return (PREFILL_MS + (self.num_tokens - 1) * self.pace.inter_token_ms) / 1000

    @property
    def max_units_per_s(self) -> float:
        """What the clients get when nothing is in the way."""
        num_units = 1 if self.unit is Unit.REQUEST else self.num_tokens
        return self.num_clients * num_units / (self.answer_s + THINK_MS / 1000)

    @property
    def ramp_s(self) -> float:
        """Span over which the clients start: spread over one answer, so that their requests do not all come in the
        same instant, again and again.
        """
        return self.answer_s

    def request_body(self, number: int) -> bytes:
        """A prompt that no other request has: no answer may come from a cache or be shared with a twin."""
        prompt = f"Request {number}. " + "lorem " * PROMPT_WORDS
        body: dict[str, object] = {
            "model": MODEL,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self.num_tokens,
            "temperature": 0.7,
        }
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(body).encode()


SCENARIOS = (
    Scenario(
        name="one-shot",
        title="one-shot requests of 16 tokens, 32 clients",
        pace=Pace.BURST,
        unit=Unit.REQUEST,
        stream=False,
        num_tokens=16,
        num_clients=32,
    ),
    Scenario(
        name="burst-stream",
        title="unpaced streams of 64 tokens, 16 clients",
        pace=Pace.BURST,
        unit=Unit.REQUEST,
        stream=True,
        num_tokens=64,
        num_clients=16,
    ),
    Scenario(
        name="paced-stream",
        title="streams of 100 tokens, 20 ms apart, 48 clients",
        pace=Pace.PACED,
        unit=Unit.TOKEN,
        stream=True,
        num_tokens=100,
        num_clients=48,
    ),
)
SOAK = Scenario(
    name="soak",
    title="streams of 60 tokens, 100 ms apart, 300 clients",
    pace=Pace.SLOW,
    unit=Unit.TOKEN,
    stream=True,
    num_tokens=60,
    num_clients=300,
)
BY_NAME = {scenario.name: scenario for scenario in (*SCENARIOS, SOAK)}
