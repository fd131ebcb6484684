"""What an engine's answers depend on."""

from configs.engine import EngineSettings, ModelArgs
from deployments.fingerprint import fingerprint_of


def settings(**changes: object) -> EngineSettings:
    given = {"engine": "llama_cpp", "model": "m", "model_source": "/w.gguf", **changes}
    return ModelArgs.model_validate(given).root


def test_equal_engines_have_equal_fingerprints() -> None:
    """In every replica, whatever its time limits, written out or not."""
    same = [settings(), settings(drain_timeout_s=5), settings(start_timeout_s=9), settings(task="generate")]
    assert 1 == len({fingerprint_of(each, "1") for each in same})


def test_other_engines_have_others() -> None:
    """Other weights, other settings, another build."""
    others = [settings(), settings(model_source="/v.gguf"), settings(flash_attention=True), settings(max_model_len=512)]
    found = {fingerprint_of(each, "1") for each in others} | {fingerprint_of(settings(), "2")}
    assert 5 == len(found)
