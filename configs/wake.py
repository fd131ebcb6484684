"""How requests wait for a model that sleeps."""

from typing import Annotated

from pydantic import Field

from configs.settings import Seconds, Settings


class WakePolicy(Settings):
    """
    How requests wait for a model that has no replica because nobody asked for it (`min_replicas: 0`).

    The first of them wakes it. Streams get their headers early and are kept alive meanwhile.
    """

    timeout_s: Seconds = 600.0
    """Longest time a request waits for the model to wake, in seconds: longer than its engine loads. Then 503."""

    max_waiting: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Requests that wait for the model at one router; more are answered 503 at once."""
