"""What the settings of every engine have."""

from typing import ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from configs.settings import ModelName, Seconds, Settings, error_at
from configs.swap import SwapSettings

Task: TypeAlias = Literal["generate", "embed", "rerank", "transcribe", "speak"]
"""What a model does with a request: write text, turn texts into vectors, judge documents against a query, write down
what is said in a recording, or say a text."""


class EngineSettings(Settings):
    """What every engine has."""

    model: ModelName
    """The model's name inside the engine, in its logs and in metrics. Clients ask for the names in the model table."""

    task: Task = "generate"
    """What the model does: `generate` answers chats and completions, `embed` turns texts into vectors, `rerank` judges
    documents against a query, `transcribe` writes down what is said in a recording, `speak` says a text. Not every
    engine has every task: `vllm` does not speak, `llama_cpp` neither transcribes nor speaks, `ollama` generates and
    embeds, `tensorrt_llm` only generates; `simulated` generates, transcribes and speaks. A model that writes text and
    takes recordings besides is one that generates."""

    tasks: ClassVar[tuple[Task, ...]] = ("generate",)
    """What the engine can be set up for."""

    start_timeout_s: Seconds = 600.0
    """Longest time, in seconds, from the engine's start to its first healthy answer. Then the replica fails with
    the engine's last lines as its reason."""

    drain_timeout_s: Seconds = 600.0
    """Longest time, in seconds, that a stopping replica waits for its running requests. Serve's own
    `graceful_shutdown_timeout_s` bounds it from above."""

    swap: SwapSettings | None = None
    """Take turns with other models on one GPU. Not for `tensorrt_llm` and `openai`. Default: the model is always
    awake."""

    why_no_swap: ClassVar[str] = ""
    """Why the engine cannot sleep, where it cannot."""

    interpreter: str | None = None
    """Path of the Python interpreter that runs the engine, so that each engine may have its own environment.
    Default: the one that runs Ray."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables added for the engine. No secrets: Serve logs them."""

    @model_validator(mode="after")
    def _the_engine_can_do_the_task(self) -> Self:
        if self.task not in self.tasks:
            known = ", ".join(self.tasks)
            raise error_at(("task",), f"is {self.task}, which this engine does not do; it does: {known}")
        return self

    @model_validator(mode="after")
    def _the_engine_can_sleep(self) -> Self:
        if self.swap is not None and self.why_no_swap:
            raise error_at(("swap",), f"is not for this engine: {self.why_no_swap}")
        return self

    @property
    def num_gpus(self) -> int:
        """GPUs that the engine uses."""
        return 0

    @property
    def reserved_gpus(self) -> float:
        """GPUs that a replica reserves, where its deployment does not say otherwise."""
        return self.swap.gpu_ratio if self.swap is not None and self.num_gpus else self.num_gpus
