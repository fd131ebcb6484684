"""What an engine's answers depend on, as one word: replicas with the same word say the same."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version

from configs.engine import EngineSettings

_WITHOUT_EFFECT = frozenset({"start_timeout_s", "drain_timeout_s", "swap"})
_DIGEST_BYTES = 16


_PACKAGES = {"llama_cpp": "xllamacpp", "simulated": "enginehouse"}
"""Engines that are packages of the Python that runs Ray."""


def build_of(engine: str) -> str:
    """The version of an engine that does not tell its own; empty where nobody knows."""
    package = _PACKAGES.get(engine)
    try:
        return version(package) if package else ""
    except PackageNotFoundError:
        return ""


def fingerprint_of(settings: EngineSettings, build: str) -> str:
    """
    Changes with every setting that could change an answer, and with the engine's build.

    Weights are known by their name: what is changed in place, under the same path, is not noticed.

    Args:
        settings: the engine's, as in the file.
        build: the version of the engine; empty where nobody knows it.
    """
    said = settings.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT))
    words = json.dumps({"settings": said, "build": build}, sort_keys=True)
    return hashlib.blake2b(words.encode(), digest_size=_DIGEST_BYTES).hexdigest()
