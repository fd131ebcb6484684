"""router.routing.facts: what is known of a request before it has a model."""

import datetime as dt
import zoneinfo

import pytest

from configs.engine import Task
from router.routing.facts import BYTES_PER_TOKEN, MAX_LOOKED_AT_CHARS, Facts

EVENING = dt.datetime(2026, 11, 30, 22, 30, tzinfo=dt.UTC)
PICTURE = "data:image/png;base64," + "A" * 100_000


def facts_of(
    body: dict[str, object],
    *,
    prompt_field: str = "messages",
    task: Task = "generate",
    num_bytes: int = 0,
    headers: dict[str, str] | None = None,
) -> Facts:
    sent = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Facts(task, prompt_field, body, num_bytes, sent, "", EVENING)


def user(*contents: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content} for content in contents]}


# the prompt's size


def test_tokens_are_estimated_by_bytes() -> None:
    """Copilot's first request in agent mode, of 71.6 KB, has about 18,000 tokens."""
    assert 17_900 == facts_of(user("x"), num_bytes=71_600).num_prompt_tokens


def test_an_image_is_no_prompt() -> None:
    """Its base64 says nothing of what it costs the model."""
    body = user([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": PICTURE}}])
    assert 100 == facts_of(body, num_bytes=len(PICTURE) + 400).num_prompt_tokens


@pytest.mark.parametrize(
    ("prompt", "num_tokens"),
    [([1, 2, 3], 3), ([[1, 2], [1, 2, 3, 4]], 4), (["ab", "ü" * 2 * BYTES_PER_TOKEN], 4), ("abcd", 25), ([], 25)],
)
def test_of_several_prompts_the_longest_counts(prompt: object, num_tokens: int) -> None:
    """Exactly, where they are given as tokens."""
    facts = facts_of({"prompt": prompt}, prompt_field="prompt", num_bytes=100)
    assert num_tokens == facts.num_prompt_tokens


# what it has


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"tools": [{"type": "function"}]}, True),
        ({"functions": [{"name": "f"}]}, True),
        ({"tools": []}, False),
        ({"tools": None}, False),
        ({}, False),
    ],
)
def test_tools(body: dict[str, object], *, expected: bool) -> None:
    """An empty list offers none."""
    assert expected == facts_of(body).has_tools


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}], True),
        ([{"type": "input_image", "image_url": PICTURE}], True),
        ([{"type": "text", "text": "an image_url"}], False),
        ("image_url", False),
    ],
)
def test_images(content: object, *, expected: bool) -> None:
    """Parts of messages, not words about them."""
    assert expected == facts_of(user(content)).has_images


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"prompt": "def f(", "suffix": ""}, True),
        ({"prompt": "<|fim_prefix|>def f(<|fim_suffix|>\n<|fim_middle|>"}, True),
        ({"prompt": "<\uff5cfim\u2581begin\uff5c>def f("}, True),
        ({"prompt": "<PRE> def f( <SUF> <MID>"}, True),
        ({"prompt": "def f(", "suffix": None}, False),
        ({"prompt": ["def f("]}, False),
        (user("what does <|fim_prefix|> mean?"), False),
    ],
)
def test_fill_in_the_middle(body: dict[str, object], *, expected: bool) -> None:
    """A suffix, or a prompt that the client made from a model's template."""
    assert expected == facts_of(body).is_fim


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "json_schema", "json_schema": {}}, True),
        ({"type": "json_object"}, True),
        ({"type": "text"}, False),
        ({"type": ["json_object"]}, False),
        (None, False),
    ],
)
def test_json(wanted: object, *, expected: bool) -> None:
    """Nothing that a client may send there breaks the look at it."""
    assert expected == facts_of({"response_format": wanted}).wants_json


# what it is about


def test_the_language_is_that_of_the_last_messages() -> None:
    """What lies further back than is looked at does not count."""
    filler = "x" * MAX_LOOKED_AT_CHARS
    assert "rust" == facts_of(user("see a.py and b.py", filler, "now src/main.rs")).language


def test_a_system_prompt_names_no_language() -> None:
    """It names the same ones for every request."""
    body = {"messages": [{"role": "system", "content": "```python\n"}, {"role": "user", "content": "main.go"}]}
    assert "go" == facts_of(body).language


def test_a_bare_prompt_is_looked_at_from_both_ends() -> None:
    """Autocomplete clients put the file's name first."""
    prompt = "# path: lib/app.rb\n" + "x" * 100_000
    assert "ruby" == facts_of({"prompt": prompt}, prompt_field="prompt").language


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": None},
        {"messages": "main.go"},
        {"messages": [1, None, {"content": [1, {"text": 2}, {"type": 3}]}, {"content": {"a": 1}}]},
        {"prompt": [[], {}]},
        {"prompt": [1, "a"], "suffix": 3, "tools": 3},
    ],
)
@pytest.mark.parametrize("prompt_field", ["messages", "prompt"])
def test_any_json_is_survived(body: dict[str, object], prompt_field: str) -> None:
    """Lines of batches are routed before they are checked."""
    facts = facts_of(body, prompt_field=prompt_field, num_bytes=40)
    found = (facts.num_prompt_tokens, facts.has_tools, facts.has_images, facts.is_fim, facts.wants_json, facts.language)
    assert 6 == len(found)


# who sent it, and when


def test_the_hour_is_that_of_the_zone() -> None:
    """22:30 in UTC is the next day in Kyiv."""
    assert (22, 0) == (facts_of({}).hour_in(dt.UTC), facts_of({}).hour_in(zoneinfo.ZoneInfo("Europe/Kyiv")))


@pytest.mark.parametrize(
    ("headers", "editor"),
    [
        ({"user-agent": "GitHubCopilotChat/0.67.0"}, "copilot"),
        ({"user-agent": "codex_cli_rs/0.169.0 (Debian 13; x86_64) xterm"}, "codex"),
        ({"user-agent": "codex_vscode/0.169.0"}, "codex"),
        ({"user-agent": "claude-cli/2.1.197 (external, cli)"}, "claude_code"),
        ({"user-agent": "RooCode/3.9"}, "roo_code"),
        ({"user-agent": "Kilo-Code/4.1"}, "kilo_code"),
        ({"user-agent": "ai-sdk/openai-compatible/2.0", "x-title": "Cline"}, "cline"),
        ({"user-agent": "OpenAI/Python 3.54.0"}, None),
        ({}, None),
    ],
)
def test_editors_are_known_by_their_headers(headers: dict[str, str], editor: str | None) -> None:
    """As each of them sends; nobody is guessed at."""
    assert editor == facts_of({}, headers=headers).editor
