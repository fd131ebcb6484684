"""The language of the code in a prompt, guessed by names of files and marks of code blocks. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from configs.routing import Language

_EXTENSIONS: Mapping[Language, str] = {
    "c": "c h",
    "cpp": "cc cpp cxx hh hpp hxx",
    "csharp": "cs csx",
    "css": "css scss less",
    "dart": "dart",
    "elixir": "ex exs",
    "go": "go",
    "haskell": "hs",
    "html": "html htm vue svelte",
    "java": "java",
    "javascript": "js jsx mjs cjs",
    "json": "json jsonc",
    "julia": "jl",
    "kotlin": "kt kts",
    "lua": "lua",
    "markdown": "md mdx",
    "perl": "pl pm",
    "php": "php",
    "powershell": "ps1 psm1",
    "python": "py pyi ipynb",
    "r": "r",
    "ruby": "rb",
    "rust": "rs",
    "scala": "scala sbt",
    "shell": "sh bash zsh",
    "sql": "sql",
    "swift": "swift",
    "terraform": "tf tfvars",
    "typescript": "ts tsx mts cts",
    "yaml": "yaml yml",
    "zig": "zig",
}
_OTHER_MARKS: Mapping[Language, str] = {
    "cpp": "c++",
    "csharp": "c# csharp",
    "elixir": "elixir",
    "go": "golang",
    "haskell": "haskell",
    "javascript": "javascript javascriptreact",
    "julia": "julia",
    "kotlin": "kotlin",
    "markdown": "markdown",
    "perl": "perl",
    "powershell": "powershell pwsh",
    "python": "python python3",
    "ruby": "ruby",
    "rust": "rust",
    "shell": "shell shellscript console",
    "terraform": "terraform hcl",
    "typescript": "typescript typescriptreact",
}
"""What a code block may be marked with beside the extensions, VS Code's own names of languages among them."""

_BY_EXTENSION: Mapping[str, Language] = {each: name for name, line in _EXTENSIONS.items() for each in line.split()}
_BY_MARK: Mapping[str, Language] = {
    **_BY_EXTENSION,
    **{each: name for name, line in _OTHER_MARKS.items() for each in line.split()},
}

# Both begin with what is rare, so that the search skips what lies between.
_ENDING = re.compile(r"\.([a-z][a-z0-9]{0,7})(?![\w(.])")
"""How the name of a file may end. A call or a longer name goes on after it."""
_FENCES = (re.compile(r"```[ \t]*([A-Za-z][\w+#]*)"), re.compile(r"~~~[ \t]*([A-Za-z][\w+#]*)"))
_MAX_NAME_CHARS = 64
_FENCE_VOTES = 3
"""What a code block counts, where a name of a file counts 1."""


def guess_language(texts: Iterable[str]) -> Language | None:
    """
    The language that is named most; the one named first among several. None where none is.

    Args:
        texts: parts of a prompt. All of each is read: docs/explanation/routing.md says what that costs.
    """
    votes: Counter[Language] = Counter()
    for text in texts:
        for found in _ENDING.finditer(text):
            language = _BY_EXTENSION.get(found[1])
            if language is not None and _is_file(text, found.start(), found[1]):
                votes[language] += 1
        for mark in (mark for fence in _FENCES for mark in fence.findall(text)):
            marked = _BY_MARK.get(mark.lower())
            if marked is not None:
                votes[marked] += _FENCE_VOTES
    return votes.most_common(1)[0][0] if votes else None


def _is_file(text: str, dot: int, extension: str) -> bool:
    """One letter is enough only in a path: `self.c` is no file in C."""
    before = text[max(0, dot - _MAX_NAME_CHARS) : dot]
    if not before or not (before[-1].isalnum() or before[-1] in "_-)]"):
        return False
    return len(extension) > 1 or "/" in before.split()[-1]
