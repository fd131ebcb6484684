"""OpenAI's Responses, by its own client, against a whole house on llama.cpp."""

import openai
import pytest
from house import House

pytestmark = pytest.mark.houses

NUM_TOKENS = 8


def test_a_response_and_its_stream(laptop: House) -> None:
    """Say the same as a chat, are as long as they may be, and end as cut."""
    with openai.OpenAI(
        base_url=laptop.base_url, api_key="none", max_retries=0, default_headers={"cache-control": "no-store"}
    ) as client:
        chat = client.chat.completions.create(
            model="smollm2", max_tokens=NUM_TOKENS, temperature=0,
            messages=[{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Say hello."}],
        )  # fmt: skip
        whole = client.responses.create(
            model="smollm2", max_output_tokens=NUM_TOKENS, temperature=0,
            instructions="You are brief.", input="Say hello.",
        )  # fmt: skip
        with client.responses.stream(
            model="smollm2", max_output_tokens=NUM_TOKENS, temperature=0,
            instructions="You are brief.", input="Say hello.",
        ) as events:  # fmt: skip
            streamed = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert chat.choices[0].message.content == whole.output_text == streamed
        assert streamed
        assert "incomplete" == whole.status
        assert whole.usage is not None
        assert chat.usage is not None
        assert chat.usage.total_tokens == whole.usage.total_tokens
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model="smollm2", input="word " * 2000)
        assert "context_length_exceeded" == refused.value.code
