"""Anthropic's own client against a whole house on llama.cpp."""

from collections.abc import Iterator

import anthropic
import pytest
from house import House

pytestmark = pytest.mark.houses

MODEL = "smollm2"
NUM_TOKENS = 8
# Of the engine's answers: what is kept is the caching tests' business. The SDK has no name for a temperature.
GREEDY = {"temperature": 0}
FROM_THE_ENGINE = {"cache-control": "no-store"}


@pytest.fixture
def client(laptop: House) -> Iterator[anthropic.Anthropic]:
    """The SDK as a user sets it up, except that it never tries again."""
    base_url = laptop.base_url.removesuffix("/v1")
    with anthropic.Anthropic(
        base_url=base_url, api_key="none", max_retries=0, timeout=60, default_headers=FROM_THE_ENGINE
    ) as opened:
        yield opened


def words(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_message_and_its_stream(client: anthropic.Anthropic) -> None:
    """Say the same, are as long as they may be, and count alike."""
    whole = client.messages.create(
        model=MODEL, max_tokens=NUM_TOKENS, extra_body=GREEDY,
        system="You are brief.", messages=[{"role": "user", "content": "Say hello."}],
    )  # fmt: skip
    with client.messages.stream(
        model=MODEL, max_tokens=NUM_TOKENS, extra_body=GREEDY,
        system="You are brief.", messages=[{"role": "user", "content": "Say hello."}],
    ) as events:  # fmt: skip
        said = "".join(events.text_stream)
        streamed = events.get_final_message()
    assert words(whole)
    assert words(whole) == said == words(streamed)
    assert ["max_tokens"] * 2 == [one.stop_reason for one in (whole, streamed)]
    usages = [one.usage for one in (whole, streamed)]
    assert [NUM_TOKENS] * 2 == [usage.output_tokens for usage in usages]
    read = {usage.input_tokens + (usage.cache_read_input_tokens or 0) for usage in usages}
    counted = client.messages.count_tokens(
        model=MODEL, system="You are brief.", messages=[{"role": "user", "content": "Say hello."}]
    )
    assert {counted.input_tokens} == read


def test_a_prompt_that_does_not_fit(client: anthropic.Anthropic) -> None:
    """Is refused in the words that Claude Code compacts a conversation at."""
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        client.messages.create(model=MODEL, max_tokens=8, messages=[{"role": "user", "content": "word " * 2000}])


def test_a_limit_that_no_context_has(client: anthropic.Anthropic) -> None:
    """Claude Code asks for 32000 tokens of any model."""
    message = client.messages.create(
        model=MODEL, max_tokens=32_000, extra_body=GREEDY, stop_sequences=[" "],
        messages=[{"role": "user", "content": "Say hello."}],
    )  # fmt: skip
    assert "end_turn" == message.stop_reason
