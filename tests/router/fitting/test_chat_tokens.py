"""router.fitting.chat_tokens: what a prompt has at about, where no engine says it."""

import pytest

from router.fitting.chat_tokens import estimate_chat_tokens

TEXT = {"messages": [{"role": "user", "content": "x" * 4000}]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        (TEXT, 1000, 1020),
        ({"messages": [{"role": "user", "content": "ü" * 4000}]}, 2000, 2020),
        ({**TEXT, "tools": [{"type": "function", "function": {"name": "f", "description": "y" * 400}}]}, 1100, 1130),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, 1500, 1520),
        ({"messages": [{"role": "user", "content": ""}] * 100}, 400, 1100),
    ],
    ids=["text", "more bytes than letters", "tools", "an image is not its bytes", "messages"],
)
def test_an_estimate(body: dict[str, object], low: int, high: int) -> None:
    """Four bytes a token, and something for each message and image."""
    assert low <= estimate_chat_tokens(body) <= high
