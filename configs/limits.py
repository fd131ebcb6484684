"""Settings of what one model takes."""

from typing import Annotated

from pydantic import Field

from configs.settings import Settings


class ModelLimits(Settings):
    """What one model takes. Each router counts what passes through it and knows nothing of the others."""

    max_prompt_tokens: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Size of a prompt, in tokens, beyond which it is answered 400: estimated as one for each four bytes of the
    request, images not counted, and exact where the engine is asked for it anyway. Default: the engine's context."""

    max_completion_tokens: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    """Tokens of an answer. Requests that ask for more, or do not say, get no more than that. Default: the engine's
    context."""

    max_requests: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests of this model at once in one router. More are answered 503 with `engine_overloaded`. Lines of batches
    do not count: they run in slots that nobody else needs. Default: no limit."""

    max_requests_per_key: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests of this model at once in one router with one API key; without keys, everybody has the same. More are
    answered 429 with `rate_limit_exceeded`. Default: no limit."""
