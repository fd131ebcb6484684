"""How models take turns on one GPU."""

from typing import Annotated, Literal

from pydantic import Field

from configs.settings import Seconds, Settings

GroupName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class SwapSettings(Settings):
    """
    The model takes turns with the others of its group: whoever is asked wakes, whoever was used least recently sleeps.

    Requests for a model that sleeps wait at its replica until it is awake. Those that it runs are finished before it
    sleeps. Models of a group that Ray puts on different GPUs do not wait for each other.
    """

    group: GroupName
    """The models that share a GPU: those of the same group. On a node without GPUs they share its memory."""

    gpu_ratio: Annotated[float, Field(gt=0, le=1)] = 0.1
    """What Ray is told that a replica takes of its GPU, 0 to 1, so that so many more fit on it: 0.1 for up to ten
    models. It says nothing about memory. Nothing is reserved where the engine uses no GPU."""

    max_awake: Annotated[int, Field(ge=1, le=64)] = 1
    """Models of the group that are awake on one GPU at once; its memory must hold as many. The same for all of the
    group."""

    min_awake_s: Seconds = 5.0
    """How long a model stays awake at least, in seconds, before another takes its place: longer than waking takes, or
    models that are wanted all the time do little but wake."""

    max_wait_s: Seconds = 120.0
    """Longest time a request waits for its model to wake, in seconds. Then 503."""

    max_start_wait_s: Seconds = 600.0
    """How long a replica that starts, and for which no request waits, lets others of the group go on that are asked, in
    seconds. Then it has its turn like one that is asked for, and requests for the others wait until it has started."""

    max_waiting: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Requests that wait for the model at its replica; more are answered 503 at once."""


class VllmSwapSettings(SwapSettings):
    """The same for vLLM, by its sleep mode."""

    level: Literal[1, 2] = 1
    """What becomes of the weights: 1 keeps them in the host's memory, from where they are back in about a second; 2
    drops them, and reads them again from where they came."""
