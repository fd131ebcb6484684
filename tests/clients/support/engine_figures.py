"""What an engine itself tells of its work, whichever it is."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine_metrics import engine_metric
from house import House

MIN_LONG_TOKENS = 600
"""More than all answers of one client together have that are not meant to be long; fewer than a long one has."""


@dataclass(frozen=True)
class Figures:
    """`num_running` is of now. `num_tokens` only grows, and by less than `MIN_LONG_TOKENS` where no answer is long."""

    num_running: Callable[[], float]
    num_tokens: Callable[[], float]


def llama_cpp_figures(house: House, model: str) -> Figures:
    [engine] = house.engines(model)
    return Figures(
        lambda: engine_metric(engine, "llamacpp:requests_processing"),
        lambda: engine_metric(engine, "llamacpp:tokens_predicted_total"),
    )


def simulated_figures(house: House, model: str) -> Figures:
    [engine] = house.engines(model)
    return Figures(
        lambda: engine_metric(engine, "vllm:num_requests_running"),
        lambda: engine_metric(engine, "vllm:generation_tokens_total"),
    )


def trtllm_figures(record: Path) -> Figures:
    """A token of the stand-in's is one character, so only its long answers are counted."""

    def notes(*events: str) -> list[dict[str, int]]:
        lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["event"] in events]

    def num_tokens() -> float:
        counts = [note["num_tokens"] for note in notes("finish", "abort")]
        return sum(count for count in counts if count >= MIN_LONG_TOKENS)

    return Figures(lambda: len(notes("request")) - len(notes("finish", "abort")), num_tokens)
