"""The accepted API keys, from where the settings say they are."""

import os
from pathlib import Path

from configs.router import ApiKeySettings
from router.http.auth import KeyRing, parse_keys


def key_ring(settings: ApiKeySettings) -> KeyRing:
    """
    Who may ask, by the settings and the keys that they lead to.

    Raises:
        ValueError: as `read_keys`.
    """
    return KeyRing(
        read_keys(settings),
        serves_anonymous=settings.allow_anonymous,
        dummies=settings.dummy_keys,
        are_in_paths=settings.in_path,
    )


def read_keys(settings: ApiKeySettings) -> frozenset[str]:
    """
    Every accepted key; none where the settings name neither a variable nor a file.

    Raises:
        ValueError: a variable or file that was named holds no key.
    """
    keys: frozenset[str] = frozenset()
    if settings.env is not None:
        keys |= parse_keys(os.environ.get(settings.env, ""))
        if not keys:
            raise ValueError(f"api_keys.env: the environment variable {settings.env} holds no key on this node")
    if settings.file is not None:
        in_file = parse_keys(Path(settings.file).read_text(encoding="utf-8"))
        if not in_file:
            raise ValueError(f"api_keys.file: {settings.file} holds no key")
        keys |= in_file
    return keys
