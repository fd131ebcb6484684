"""What a batch is made of, as it is kept. Each record is one object, created once; times are Unix times in seconds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

Reason = Literal["completed", "expired", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class Order:
    """`batch.json`: what the client asked for."""

    id: str
    endpoint: str
    input_file_id: str
    completion_window: str
    created_at: int
    expires_at: int
    metadata: dict[str, str] | None = None
    output_expires_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file, or with one of its lines. Lines count from 1."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """
    `read.json`: what the input file holds, or what is wrong with it.

    `bounds` are the offsets in bytes at which chunks of lines begin, and the end of the last one.
    """

    at: int
    num_lines: int
    lines_per_chunk: int
    bounds: list[int]
    faults: list[Fault] = field(default_factory=list)

    @property
    def num_chunks(self) -> int:
        return max(0, len(self.bounds) - 1)


@dataclass(frozen=True, slots=True)
class Closing:
    """`closing.json`: why no more lines are asked, and the parts that count. What comes later is left out."""

    at: int
    reason: Reason
    parts: list[int]
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class End:
    """`end.json`: the batch is over."""

    at: int
    num_completed: int
    num_failed: int
    output_file_id: str | None
    error_file_id: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that is known of a batch. Its state is which records there are."""

    owner: str
    order: Order
    reading: Reading | None = None
    cancelled_at: int | None = None
    """When somebody asked for its end."""
    closing: Closing | None = None
    end: End | None = None

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def faults(self) -> Sequence[Fault]:
        if self.closing is not None and self.closing.fault is not None:
            return [self.closing.fault]
        return self.reading.faults if self.reading is not None else []

    @property
    def is_over(self) -> bool:
        return self.end is not None or bool(self.reading is not None and self.reading.faults)

    @property
    def state(self) -> str:
        """OpenAI's word for it."""
        if self.reading is not None and self.reading.faults:
            return "failed"
        if self.end is not None and self.closing is not None:
            return self.closing.reason
        if self.cancelled_at is not None:
            return "cancelling"
        if self.closing is not None:
            return "finalizing"
        return "validating" if self.reading is None else "in_progress"

    def as_object(self, num_completed: int, num_failed: int) -> dict[str, object]:
        """OpenAI's batch object. The counts are those of now, for a batch that is not over."""
        order, reading, closing, end = self.order, self.reading, self.closing, self.end
        ended_at = end.at if end is not None else None
        state = self.state
        return {
            "id": order.id,
            "object": "batch",
            "endpoint": order.endpoint,
            "errors": {"object": "list", "data": [asdict(one) for one in self.faults]} if self.faults else None,
            "input_file_id": order.input_file_id,
            "completion_window": order.completion_window,
            "status": state,
            "output_file_id": end.output_file_id if end else None,
            "error_file_id": end.error_file_id if end else None,
            "created_at": order.created_at,
            "in_progress_at": reading.at if reading and not reading.faults else None,
            "expires_at": order.expires_at,
            "finalizing_at": closing.at if closing else None,
            "completed_at": ended_at if state == "completed" else None,
            "failed_at": (ended_at or (reading.at if reading else None)) if state == "failed" else None,
            "expired_at": ended_at if state == "expired" else None,
            "cancelling_at": self.cancelled_at,
            "cancelled_at": ended_at if state == "cancelled" else None,
            "request_counts": {
                "total": reading.num_lines if reading else 0,
                "completed": end.num_completed if end else num_completed,
                "failed": end.num_failed if end else num_failed,
            },
            "metadata": order.metadata,
        }
