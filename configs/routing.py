"""Settings of names that are no models: rules over facts of a request choose one for each."""

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from configs.engines.base import Task
from configs.settings import ModelName, Settings, error_at

Language: TypeAlias = Literal[
    "c", "cpp", "csharp", "css", "dart", "elixir", "go", "haskell", "html", "java", "javascript", "json", "julia",
    "kotlin", "lua", "markdown", "perl", "php", "powershell", "python", "r", "ruby", "rust", "scala", "shell", "sql",
    "swift", "terraform", "typescript", "yaml", "zig",
]  # fmt: skip
"""Languages that the router can tell by file names and code fences."""

Editor: TypeAlias = Literal["claude_code", "cline", "codex", "copilot", "kilo_code", "roo_code"]
"""Clients that the router can tell by their headers."""


def _is_span(value: str) -> str:
    begin, separator, end = value.partition("-")
    if not separator or not (begin.isascii() and begin.isdigit() and end.isascii() and end.isdigit()):
        raise ValueError(f"must be two hours with a hyphen between, as in '8-18', got {value!r}")
    if int(begin) > 23 or int(end) > 24:
        raise ValueError(f"must be hours from 0 to 24, got {value!r}")
    if not 0 < len(hours_in(value)) < 24:
        raise ValueError(f"must begin and end at different hours, got {value!r}")
    return value


def hours_in(span: str) -> frozenset[int]:
    """The hours, 0 to 23, from the first one up to the second one of `8-18`; over midnight in `22-6`."""
    begin, _, end = span.partition("-")
    return frozenset((int(begin) + step) % 24 for step in range((int(end) - int(begin)) % 24 or 24))


def _is_zone(value: str) -> str:
    try:
        zone_of(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {value!r} on this machine") from None
    return value


def zone_of(name: str) -> dt.tzinfo:
    """
    Raises:
        ZoneInfoNotFoundError: the machine knows no such zone. UTC it knows without a database of them.
        ValueError: it can be no zone's name.
    """
    return dt.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)


def _is_import_path(value: str) -> str:
    module, separator, name = value.partition(":")
    if not separator or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"must name a module and what is in it, as in 'package.module:name', got {value!r}")
    return value


RuleName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
TokenBound = Annotated[int, Field(ge=1, le=100_000_000)]
TenantName = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[0-9a-f]+$")]
HourSpan = Annotated[str, Field(min_length=3, max_length=5), AfterValidator(_is_span)]
ZoneName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_is_zone)]
ImportPath = Annotated[str, Field(min_length=3), AfterValidator(_is_import_path)]


class RuleConditions(Settings):
    """What a request must be for a rule to fit: all that is given must hold, of a list any one of its entries."""

    task: Task | None = None
    """What is asked for: `generate` at the routes of completions, `embed`, `rerank`, `transcribe` or `speak`."""

    min_prompt_tokens: TokenBound | None = None
    """Least size of the prompt, in estimated tokens: one for each four bytes of the request, images not counted."""

    max_prompt_tokens: TokenBound | None = None
    """Greatest size of the prompt, in the same estimated tokens."""

    has_tools: bool | None = None
    """Whether the request offers tools."""

    has_images: bool | None = None
    """Whether there is an image in a message."""

    is_fim: bool | None = None
    """Whether the middle of a text is to be filled in: a `suffix`, or a prompt with a model's own marks for that."""

    wants_json: bool | None = None
    """Whether the answer must be JSON: a `response_format` of the type `json_object` or `json_schema`."""

    languages: tuple[Language, ...] = ()
    """Language of the code, guessed by the file names and code fences in the last part of the prompt."""

    editors: tuple[Editor, ...] = ()
    """The client, where its headers say which it is."""

    user_agents: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = ()
    """How the header `user-agent` begins, for all other clients. Upper and lower case are the same."""

    tenants: tuple[TenantName, ...] = ()
    """Whose request it is: the SHA-256 of an API key in hexadecimal, or how that begins, with 8 digits or more."""

    hours: HourSpan | None = None
    """Time of day, as in `8-18`: from 8:00 until before 18:00. `22-6` is the night."""

    @model_validator(mode="after")
    def _bounds_leave_something(self) -> Self:
        low, high = self.min_prompt_tokens, self.max_prompt_tokens
        if low is not None and high is not None and high < low:
            raise error_at(("max_prompt_tokens",), f"must be at least min_prompt_tokens ({low}), or no request fits")
        return self

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the conditions that are set."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) not in (None, ()))

    def covers(self, other: "RuleConditions") -> bool:
        """Whether each request that fits `other` fits these conditions as well."""
        return all(self._covers(name, other) for name in self.given)

    def _covers(self, name: str, other: "RuleConditions") -> bool:
        ours, theirs = getattr(self, name), getattr(other, name)
        match name:
            case _ if theirs in (None, ()):
                covered = False
            case "min_prompt_tokens":
                covered = theirs >= ours
            case "max_prompt_tokens":
                covered = theirs <= ours
            case "hours":
                covered = hours_in(theirs) <= hours_in(ours)
            case "tenants" | "user_agents":
                covered = all(any(one.lower().startswith(beginning.lower()) for beginning in ours) for one in theirs)
            case "languages" | "editors":
                covered = set(theirs) <= set(ours)
            case _:
                covered = theirs == ours
        return bool(covered)


class AutoRule(Settings):
    """One rule: a model for the requests that fit."""

    model: ModelName
    """The model that is asked: the name of one in `models`, or an alias."""

    when: RuleConditions = RuleConditions()
    """What a request must be for it. Left out: every request fits, which the last rule needs."""

    name: RuleName | None = None
    """What answers call it in `x-enginehouse-route`. Default: its place, as in `rule-1`."""


class AutoRoute(Settings):
    """A name that clients ask for as for a model. The first rule that fits a request chooses the model."""

    rules: tuple[AutoRule, ...]
    """The rules, in the order in which they are tried. The last one has no conditions."""

    policy: ImportPath | None = None
    """Import path of a function of your own that is asked before the rules. Where it has no answer, or fails, the
    rules decide. Default: none."""

    policy_models: tuple[ModelName, ...] = ()
    """The models that `policy` may choose."""

    time_zone: ZoneName = "UTC"
    """Whose hours `hours` are, as in `Europe/Berlin`."""

    @model_validator(mode="after")
    def _every_rule_can_be_reached(self) -> Self:
        if not self.rules:
            raise error_at(("rules",), "must have at least one entry: a rule without conditions")
        for index, rule in enumerate(self.rules):
            for before in range(index):
                if self.rules[before].when.covers(rule.when):
                    message = f"is never reached: every request that fits it fits {self.rule_name(before)!r} before it"
                    raise error_at(("rules", index), message)
        if self.rules[-1].when.given:
            raise error_at(("rules",), "must end with a rule without conditions, for the requests that fit no other")
        return self

    @model_validator(mode="after")
    def _rules_have_names_of_their_own(self) -> Self:
        names = [self.rule_name(index) for index in range(len(self.rules))]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise error_at(("rules", index, "name"), f"{name!r} is already that of rules[{names.index(name)}]")
        return self

    @model_validator(mode="after")
    def _policy_has_models(self) -> Self:
        if self.policy is not None and not self.policy_models:
            raise error_at(("policy_models",), "must name the models that the policy may choose")
        if self.policy is None and self.policy_models:
            raise error_at(("policy_models",), "needs policy beside it")
        return self

    def rule_name(self, index: int) -> str:
        return self.rules[index].name or f"rule-{index + 1}"

    def destinations(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Every model that may be chosen, and where in these settings it is named."""
        yield from ((("rules", index, "model"), rule.model) for index, rule in enumerate(self.rules))
        yield from ((("policy_models", index), name) for index, name in enumerate(self.policy_models))
