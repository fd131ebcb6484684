"""Settings that a person pastes into VS Code."""

import json

from deployments.editor_settings import OfferedModel, copilot_settings

MODELS = [OfferedModel("smollm2", 2048)]


def test_prompt_and_answer_share_the_context() -> None:
    """What VS Code may send and ask for fits into the model's context together."""
    (group,) = json.loads(copilot_settings("http://127.0.0.1:8000/v1", MODELS, needs_key=False))
    (model,) = group["models"]

    assert "http://127.0.0.1:8000/v1/chat/completions" == model["url"]
    assert 2048 == model["maxInputTokens"] + model["maxOutputTokens"]


def test_a_key_goes_into_a_header() -> None:
    """VS Code drops an apiKey that is written into the file, so the key is a request header."""
    (group,) = json.loads(copilot_settings("http://127.0.0.1:8000/v1", MODELS, needs_key=True))

    assert "apiKey" not in group
    assert {"Authorization": "Bearer YOUR_KEY"} == group["models"][0]["requestHeaders"]


def test_only_models_that_generate_are_offered() -> None:
    """Nobody can chat with vectors."""
    models = [*MODELS, OfferedModel("vectors", 512, "embed"), OfferedModel("ranks", 64, "rerank")]
    assert copilot_settings("http://h/v1", MODELS, needs_key=False) == copilot_settings(
        "http://h/v1", models, needs_key=False
    )
