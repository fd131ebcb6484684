"""router.routing.languages: what names a language and what does not."""

from typing import get_args

import pytest

from configs.routing import Language
from router.routing.languages import guess_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("fix src/main.rs", "rust"),
        ("`app.component.tsx`: add a button", "typescript"),
        ("see C:\\work\\Form1.cs", "csharp"),
        ("src/kernel.c", "c"),
        ("```py\nprint()\n```", "python"),
        ("text\n  ~~~ C++\nint x;\n~~~", "cpp"),
        ("```typescriptreact\n```", "typescript"),
        ("a.py b.py c.go", "python"),
        ("a.py b.py\n```go\n```", "go"),
        ("the node.js runtime", "javascript"),
    ],
)
def test_files_and_code_blocks_name_a_language(text: str, language: str) -> None:
    """A code block counts three times as much as the name of a file."""
    assert language == guess_language([text])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "self.c = 3",
        "x.h",
        "read.go()",
        "obj.py.more",
        "v1.2.3",
        "```\nno mark\n```",
        "```text\n```",
        "hello.",
        "e.g. this",
    ],
)
def test_other_words_with_dots_name_none(text: str) -> None:
    """Attributes, calls, versions and blocks without a mark."""
    assert guess_language([text]) is None


def test_every_language_that_a_rule_may_name_can_be_told() -> None:
    """By the first of its extensions, or by its own name."""
    told = {guess_language([f"```{name}\n"]) for name in get_args(Language)}
    assert set(get_args(Language)) == told
