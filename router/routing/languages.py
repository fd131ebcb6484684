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

_SHORT = "|".join(each for each in _BY_EXTENSION if len(each) == 1)
_LONG = "|".join(sorted((each for each in _BY_EXTENSION if len(each) > 1), key=len, reverse=True))
_FILE = re.compile(rf"[\w)\]-]\.({_LONG})(?![\w(.])|/[\w.-]*\w\.({_SHORT})(?![\w(.])")
"""A name that ends like a file's. One letter is enough only after a slash: `self.c` is no file in C."""
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*([A-Za-z][\w+#]*)", re.MULTILINE)
_FENCE_VOTES = 3
"""What a code block counts, where a name of a file counts 1."""


def guess_language(texts: Iterable[str]) -> Language | None:
    """
    The language that is named most; the one named first among several. None where none is.

    Args:
        texts: parts of a prompt. All of each is read: 16,000 characters took 0.2 ms.
    """
    votes: Counter[Language] = Counter()
    for text in texts:
        for long, short in _FILE.findall(text):
            votes[_BY_EXTENSION[long or short]] += 1
        for mark in _FENCE.findall(text):
            marked = _BY_MARK.get(mark.lower())
            if marked is not None:
                votes[marked] += _FENCE_VOTES
    return votes.most_common(1)[0][0] if votes else None
