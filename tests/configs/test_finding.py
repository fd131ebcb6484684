import pickle

from configs.finding import ConfigError, Finding, key_path_text


def test_a_key_path_reads_as_one_would_write_it() -> None:
    """Indices in brackets, plain keys after dots, other keys quoted."""
    assert 'a[0].b-c["gpt-4.1"]' == key_path_text(("a", 0, "b-c", "gpt-4.1"))


def test_a_key_path_cannot_break_a_line() -> None:
    """Keys with control characters or lone surrogates are escaped, so that every terminal can print them."""
    assert 'a["b\\n\\ud800"]' == key_path_text(("a", "b\n\ud800"))


def test_config_errors_survive_pickling() -> None:
    """Ray sends exceptions between processes."""
    error = ConfigError([Finding("f.yaml", 1, 2, "a.b", "is required")])
    assert error.findings == pickle.loads(pickle.dumps(error)).findings  # noqa: S301 (our own bytes)
