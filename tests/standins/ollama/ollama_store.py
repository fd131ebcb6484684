"""The models that are there, and those that can be pulled."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Model = dict[str, Any]
NO_INTERNET = (
    'pull model manifest: Get "https://registry.ollama.ai/v2/library/{}": '
    "dial tcp: lookup registry.ollama.ai: no such host"
)


def full_name(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


class Store:
    def __init__(self, folder: str) -> None:
        self._manifests = Path(folder) / "manifests/registry.ollama.ai/library"

    def names(self) -> list[str]:
        return [f"{path.parent.name}:{path.name}" for path in sorted(self._manifests.glob("*/*"))]

    def find(self, name: str) -> Model | None:
        path = self._path(name)
        return json.loads(path.read_text()) if path.is_file() else None

    def pull(self, name: str) -> Iterator[dict[str, object]]:
        """The lines of a pull: two layers, each in quarters."""
        yield {"status": "pulling manifest"}
        if "STANDIN_REGISTRY" not in os.environ:
            yield {"error": NO_INTERNET.format(full_name(name))}
            return
        if full_name(name) not in map(full_name, os.environ["STANDIN_REGISTRY"].split(",")):
            yield {"error": "pull model manifest: file does not exist"}
            return
        for digest, total in (("sha256:aaaa", 900), ("sha256:bbbb", 100)):
            for quarter in range(5):
                state = {"status": f"pulling {digest[7:]}", "digest": digest, "total": total}
                yield state | ({"completed": total * quarter // 4} if quarter else {})
            if "STANDIN_PULL_FAILS" in os.environ:
                yield {"error": os.environ["STANDIN_PULL_FAILS"]}
                return
        for status in ("verifying sha256 digest", "writing manifest"):
            yield {"status": status}
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"context": 8192, "capabilities": ["completion", "tools"]}))
        yield {"status": "success"}

    def _path(self, name: str) -> Path:
        short, _, tag = full_name(name).partition(":")
        return self._manifests / short / tag
