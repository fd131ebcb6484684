"""A model whose engine does not start, and the other engine that serves it meanwhile."""

import openai
from house import House


def test_the_fallback_serves_and_the_failure_is_told(library: House) -> None:
    """The command is ready, says which application failed and why, and the model is answered for by another."""
    with openai.OpenAI(base_url=library.base_url, api_key="none", max_retries=0) as sdk:
        raw = sdk.completions.with_raw_response.create(model="broken", prompt="Once upon a time", max_tokens=4)
    assert "model=broken; application=words" == raw.headers["x-enginehouse-route"]
    assert raw.parse().choices[0].text
    told = "no weights at /nowhere/weights.gguf" in library.output()
    assert (True, True) == (told, "Its fallbacks serve meanwhile." in library.output())
