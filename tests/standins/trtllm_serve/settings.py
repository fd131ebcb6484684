"""What a test chooses through the environment. Without any of it the stand-in just serves."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("1.2.1", "1.3.0rc3", "1.4.0rc1")

FAILURES = (
    "",
    "load_oom",
    "load_hangs",
    "load_crash",
    "engine_error",
    "executor_error",
    "cut_stream",
    "unhealthy",
)


@dataclass(frozen=True)
class Settings:
    """
    Attributes:
        version: which release is played; see `VERSIONS`.
        load_s: between the bound port and the listening one.
        token_ms: between two tokens of one answer.
        prefill_ms: before the first token of an answer.
        context_length: in tokens, over what the checkpoint says; 0 leaves it to the checkpoint.
        num_gpus: what the machine has; -1 counts CUDA_VISIBLE_DEVICES, and is 8 where that is not set.
        fail: one of `FAILURES`.
        fail_after: requests that are answered well before `fail` begins; for failures of requests only.
        record: a file that receives one JSON object a line for each thing that happens.
        is_worker_stubborn: workers outlive the server, for two minutes at most.
    """

    version: str = "1.3.0rc3"
    load_s: float = 0.0
    token_ms: float = 0.0
    prefill_ms: float = 0.0
    context_length: int = 0
    num_gpus: int = -1
    fail: str = ""
    fail_after: int = 0
    record: Path | None = None
    is_worker_stubborn: bool = False

    def note(self, event: str, **details: object) -> None:
        """Appends to the record; one write a line, so that a reader sees whole lines."""
        if self.record is not None:
            line = json.dumps({"event": event, "at": time.time(), **details}) + "\n"
            with self.record.open("a") as file:
                file.write(line)

    def gpus(self) -> int:
        if self.num_gpus >= 0:
            return self.num_gpus
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return 8 if visible is None else len([name for name in visible.split(",") if name.strip()])


def read_settings() -> Settings:
    """
    Raises:
        SystemExit: a variable holds what it cannot; a test would otherwise test something else than it says.
    """
    env = os.environ
    version = env.get("STANDIN_VERSION", "1.3.0rc3")
    fail = env.get("STANDIN_FAIL", "")
    if version not in VERSIONS:
        raise SystemExit(f"STANDIN_VERSION: {version!r} is none of {', '.join(VERSIONS)}")
    if fail not in FAILURES:
        raise SystemExit(f"STANDIN_FAIL: {fail!r} is none of {', '.join(FAILURES[1:])}")
    record = env.get("STANDIN_RECORD")
    return Settings(
        version=version,
        load_s=float(env.get("STANDIN_LOAD_S", "0")),
        token_ms=float(env.get("STANDIN_TOKEN_MS", "0")),
        prefill_ms=float(env.get("STANDIN_PREFILL_MS", "0")),
        context_length=int(env.get("STANDIN_CONTEXT_LENGTH", "0")),
        num_gpus=int(env.get("STANDIN_NUM_GPUS", "-1")),
        fail=fail,
        fail_after=int(env.get("STANDIN_FAIL_AFTER", "0")),
        record=Path(record) if record else None,
        is_worker_stubborn=env.get("STANDIN_WORKER_STUBBORN") == "1",
    )
