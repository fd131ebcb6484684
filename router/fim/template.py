"""The marks by which a model knows what it is to fill in, and the prompt that is made with them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

import orjson

from configs.fim import FimFamily, FimMarks, FimPolicy

PROJECT: Final = "project"
"""What a repository is called in prompts: clients do not say."""
OPEN_FILE: Final = "file"
"""The same of the file that is being edited."""


@dataclass(slots=True, frozen=True)
class ExtraFile:
    """A part of another file that a client sends along."""

    name: str
    text: str


@dataclass(slots=True, frozen=True)
class FimTemplate:
    """
    How a model is asked to fill in.

    `name` is a family's, `own` for marks of the settings, `native` where the engine takes both texts apart, `none`
    where the model cannot, and `unknown`. `repository` and `file` are the marks of a repository's name and of a file,
    empty where the model knows none. Source of all marks: the models' own tokenisers and cards.
    """

    name: str
    prefix: str = ""
    suffix: str = ""
    middle: str = ""
    is_suffix_first: bool = False
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    """Those of the tokens that end an answer, where they are known: some engines look for stops in a text that has no
    special tokens in it."""
    repository: str = ""
    file: str = ""

    @property
    def has_marks(self) -> bool:
        return bool(self.prefix)

    @property
    def marks(self) -> tuple[str, ...]:
        """Those that a tokeniser must know."""
        return tuple(mark.strip() for mark in (self.prefix, self.suffix, self.middle) if mark)

    def prompt(self, before: str, behind: str, extra: Sequence[ExtraFile] = ()) -> str:
        """The text with which an engine is asked. What it says goes on from there."""
        first, last = f"{self.prefix}{before}", f"{self.suffix}{behind}"
        if self.is_suffix_first:
            first, last = last, first
        return f"{self._around(extra)}{first}{last}{self.middle}"

    def _around(self, extra: Sequence[ExtraFile]) -> str:
        """Other files, by the model's own marks, or as they are where it knows none."""
        if not extra:
            return ""
        if not self.file:
            return plain_text(extra)
        head = f"{self.repository}{PROJECT}\n" if self.repository else ""
        files = "".join(f"{self.file}{one.name}\n{one.text}\n" for one in extra)
        return f"{head}{files}{self.file}{OPEN_FILE}\n"

    def encode(self) -> str:
        """As JSON, for what is known of a replica."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """What of it is known here: a replica of another version may say more, or less."""
        said: dict[str, Any] = orjson.loads(text)
        known = {field.name for field in fields(cls)}
        told: dict[str, Any] = {name: value for name, value in said.items() if name in known}
        for name, value in told.items():
            told[name] = tuple(value) if isinstance(value, list) else value
        return cls(**told)


def plain_text(extra: Iterable[ExtraFile]) -> str:
    """Other files for a model that knows no marks for them."""
    return "".join(f"{one.text}\n\n" for one in extra)


UNKNOWN: Final = FimTemplate("unknown")
"""Nobody says: the engine gets both texts apart, and judges them by itself."""
NATIVE: Final = FimTemplate("native")
NONE: Final = FimTemplate("none")

_BAR, _BLOCK = "\uff5c", "\u2581"
"""What DeepSeek's and SentencePiece's tokens have in place of a bar and a blank."""


def _like_qwen(name: str, stop: tuple[str, ...], repository: str = "", file: str = "") -> FimTemplate:
    marks = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    return FimTemplate(name, *marks, stop=stop, repository=repository, file=file)


FAMILIES: Final[Mapping[FimFamily, FimTemplate]] = {
    "qwen_coder": _like_qwen(
        "qwen_coder",
        stop=("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
        repository="<|repo_name|>",
        file="<|file_sep|>",
    ),
    "deepseek_coder": FimTemplate(
        "deepseek_coder",
        prefix=f"<{_BAR}fim{_BLOCK}begin{_BAR}>",
        suffix=f"<{_BAR}fim{_BLOCK}hole{_BAR}>",
        middle=f"<{_BAR}fim{_BLOCK}end{_BAR}>",
        stop=(f"<{_BAR}end{_BLOCK}of{_BLOCK}sentence{_BAR}>", "<|EOT|>"),
    ),
    "starcoder": FimTemplate(
        "starcoder",
        prefix="<fim_prefix>",
        suffix="<fim_suffix>",
        middle="<fim_middle>",
        stop=("<|endoftext|>", "<fim_pad>", "<file_sep>", "<repo_name>"),
        repository="<repo_name>",
        file="<file_sep>",
    ),
    "code_llama": FimTemplate("code_llama", "<PRE> ", " <SUF>", " <MID>", stop=("<EOT>", f"{_BLOCK}<EOT>")),
    "codestral": FimTemplate("codestral", "[PREFIX]", "[SUFFIX]", is_suffix_first=True, stop=("</s>", "[MIDDLE]")),
    "granite": _like_qwen("granite", stop=("<|end_of_text|>", "<|fim_pad|>")),
    "code_gemma": _like_qwen("code_gemma", stop=("<|file_separator|>", "<eos>"), file="<|file_separator|>"),
}
"""By name, as the settings have them."""

_OTHER_SPELLINGS: Final = (
    # CodeLlama's tokens begin with SentencePiece's blank, which only some tokenisers make of a blank.
    FimTemplate(
        "code_llama",
        f"{_BLOCK}<PRE> ",
        f"{_BLOCK}<SUF>",
        f"{_BLOCK}<MID>",
        stop=("<EOT>", f"{_BLOCK}<EOT>"),
    ),
    # SantaCoder and the models after it
    FimTemplate("starcoder", "<fim-prefix>", "<fim-suffix>", "<fim-middle>", stop=("<|endoftext|>",)),
)

_BY_END: Final[Mapping[str, FimFamily]] = {"<|file_separator|>": "code_gemma", "<|end_of_text|>": "granite"}
"""Families that share Qwen's marks, by a token that only they have."""

TOLD_BY: Final[tuple[str, ...]] = tuple(
    dict.fromkeys(
        text.strip()
        for one in (*FAMILIES.values(), *_OTHER_SPELLINGS)
        for text in (*one.marks, *one.stop, one.repository, one.file)
        if text
    )
)
"""Texts of which a tokeniser is asked whether each is one token."""


def detect(token_ids: Mapping[str, int]) -> FimTemplate:
    """
    The template of a model, by its tokeniser; NONE where it has the marks of no family.

    Args:
        token_ids: of `TOLD_BY` those that are one token, with its id.
    """
    for one in (*FAMILIES.values(), *_OTHER_SPELLINGS):
        marks = {token_ids.get(mark) for mark in one.marks}
        if None not in marks and len(marks) == len(one.marks):  # some make one token of whatever they do not know
            family = FAMILIES[_BY_END[found]] if (found := _end_of(one, token_ids)) else one
            return _as_known(family, token_ids)
    return NONE


def _end_of(template: FimTemplate, token_ids: Mapping[str, int]) -> str | None:
    if template.name != "qwen_coder":
        return None
    return next((text for text in _BY_END if text in token_ids), None)


def _as_known(template: FimTemplate, token_ids: Mapping[str, int]) -> FimTemplate:
    """With the ids of what ends an answer, and without the marks for files where the tokeniser lacks them."""
    known = {name: getattr(template, name) for name in ("repository", "file") if getattr(template, name) in token_ids}
    ends = (*template.stop, *template.marks)
    ids = tuple(dict.fromkeys(token_ids[text] for text in ends if text in token_ids))
    kept = {field: value for field, value in asdict(template).items() if field not in ("repository", "file")}
    return FimTemplate(**{**kept, **known, "stop_token_ids": ids})


def own_template(marks: FimMarks) -> FimTemplate:
    return FimTemplate("own", marks.prefix, marks.suffix, marks.middle, marks.suffix_first, marks.stop)


def set_template(policy: FimPolicy) -> FimTemplate | None:
    """What the settings say; None where the engine is to say it."""
    if policy.marks is not None:
        return own_template(policy.marks)
    if policy.template == "auto":
        return None
    return {"none": NONE, "native": NATIVE}.get(policy.template) or FAMILIES[policy.template]  # type: ignore[index]
