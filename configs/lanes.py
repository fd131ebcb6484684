"""Settings of who goes first: the router's queue, and the lane for completion in editors."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from configs.settings import Seconds, Settings

Priority: TypeAlias = Literal["interactive", "background", "batch"]
"""Who goes first, from first to last."""

GenerationRoute: TypeAlias = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"]


class QueuePolicy(Settings):
    """
    How requests for a model wait in the router while its engines run as many as they can.

    Only where the router knows how many that is: `max_num_seqs` in the engine's settings. Engines without it get
    every request at once.
    """

    priority: Priority = "interactive"
    """Who goes first: `interactive`, then `background`, then `batch`, each in the order of arrival. A request may
    put itself further back by its header `x-enginehouse-priority`, never further to the front."""

    priorities: dict[GenerationRoute, Priority] = Field(default_factory=dict)
    """The same for single routes, as `/v1/embeddings: background`. Default: `priority` for all of them."""

    max_length: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    """Requests that wait in one router. One more is answered 503, or takes the place of the last of those that come
    after it. 0: nobody waits. Who has no place is served by the model's `fallbacks`, where one has room."""

    max_wait_s: Seconds = 600.0
    """Longest time that a request waits, in seconds. Then a fallback serves it, or 503. A shorter
    `reliability.deadlines.queue_s` goes before."""

    max_ahead: Annotated[int, Field(ge=0, le=1000)] | None = None
    """Requests that a replica is given beyond those that it runs at once, so that it need not wait for the router
    when some end. Default: an eighth of `max_num_seqs`, and 2 at least, for many may end in one step."""


class AutocompletePolicy(Settings):
    """
    Completion in editors: requests that are worth nothing once they are late, or once the next key is typed.

    They are the text completions with a `suffix`, or with a model's own marks for filling in the middle.
    """

    all_completions: bool = False
    """The model is for completion in editors alone: all its text completions are such requests, whatever is in them,
    and no slot is kept free of them."""

    deadline_s: Seconds | None = 10.0
    """Longest time from a request's arrival until its answer begins, in seconds. Then it is dropped, with 504. `null`:
    no other than every request has."""

    supersede: bool = True
    """Drop a request when the same editor asks anew at the same place: it would throw the older answer away."""
