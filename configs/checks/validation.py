"""A parsed file against the models, with every error as a plain sentence."""

import re
from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from configs.checks.model_paths import ModelPath, follow
from configs.finding import ConfigError, Finding, Problem, did_you_mean, key_path_text
from configs.router import RouterUserConfig
from configs.serve_file import ServeFile

_MAX_SHOWN_CHARS = 60


def validate(value: object) -> tuple[ServeFile | None, list[Problem]]:
    """The file, or None and at least one problem."""
    try:
        return ServeFile.model_validate(value), []
    except ValidationError as error:
        return None, _problems(ServeFile, error)


def read_user_config(value: object) -> RouterUserConfig:
    """
    The router's `user_config`, as Serve hands it over: without its file.

    Raises:
        ConfigError: it is not valid.
    """
    try:
        return RouterUserConfig.model_validate(value)
    except ValidationError as error:
        problems = _problems(RouterUserConfig, error)
    raise ConfigError(Finding("user_config", 0, 0, key_path_text(each.path), each.message) for each in problems)


def _problems(model: type[BaseModel], error: ValidationError) -> list[Problem]:
    return [_problem(model, each) for each in error.errors(include_url=False) if not _is_echo(each)]


def _is_echo(error: ErrorDetails) -> bool:
    """Whether a list is only too short because its entries had errors of their own."""
    value = error["input"]
    return error["type"] == "too_short" and isinstance(value, list) and len(value) >= error["ctx"]["min_length"]


def _problem(model: type[BaseModel], error: ErrorDetails) -> Problem:
    place = follow(model, error["loc"])
    context = error.get("ctx", {})
    if error["type"] == "settings":
        return Problem((*place.path, *context["path"]), context["message"])
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        key = context["discriminator"].strip("'")
        return Problem((*place.path, key), _wrong_tag(place.tags, error["input"].get(key)))
    sentence = _SENTENCES.get(error["type"])
    message = sentence(error, context, place) if sentence else error["msg"].removeprefix("Value error, ")
    return Problem(place.path, message)


Context = Mapping[str, object]


def _wrong_tag(tags: Sequence[str], given: object) -> str:
    quoted = [repr(tag) for tag in tags]
    alternatives = " or ".join([", ".join(quoted[:-1]), quoted[-1]])
    return f"is required: {alternatives}" if given is None else _wrong_choice(alternatives, given)


def _wrong_choice(alternatives: str, given: object) -> str:
    """A sentence about a choice between `alternatives`, as in `'a', 'b' or 'c'`."""
    near = did_you_mean(given, re.findall(r"'([^']*)'", alternatives)) if isinstance(given, str) else ""
    return f"must be {alternatives}, got {_shown(given)}{near}"


def _unknown_key(error: ErrorDetails, place: ModelPath) -> str:
    key, known = str(error["loc"][-1]), list(place.model.model_fields) if place.model else []
    return f"unknown key{did_you_mean(key, known) or '; known here: ' + ', '.join(known)}"


def _missing_key(error: ErrorDetails, place: ModelPath) -> str:
    field = place.model.model_fields.get(str(error["loc"][-1])) if place.model else None
    description = " ".join((field.description or "").split()) if field else ""
    return f"is required: {description}" if description else "is required"


def _must_be(what: str) -> Callable[[ErrorDetails, Context, ModelPath], str]:
    """A sentence from a template that may name the limits in pydantic's context."""

    def sentence(error: ErrorDetails, context: Context, _: ModelPath) -> str:
        whole = {key: int(x) if isinstance(x, float) and x.is_integer() else x for key, x in context.items()}
        return f"must be {what.format_map(whole)}, got {_shown(error['input'])}"

    return sentence


def _num_entries(error: ErrorDetails, bound: str, limit: object) -> str:
    return f"must have {bound} {limit} {'entry' if limit == 1 else 'entries'}, has {len(error['input'])}"


_SENTENCES: dict[str, Callable[[ErrorDetails, Context, ModelPath], str]] = {
    "missing": lambda error, _, place: _missing_key(error, place),
    "extra_forbidden": lambda error, _, place: _unknown_key(error, place),
    "literal_error": lambda error, context, _: _wrong_choice(str(context["expected"]), error["input"]),
    "too_short": lambda error, context, _: _num_entries(error, "at least", context["min_length"]),
    "too_long": lambda error, context, _: _num_entries(error, "at most", context["max_length"]),
    "invalid_key": lambda *_: "keys must be text",
    "string_too_short": lambda *_: "must not be empty",
    "string_pattern_mismatch": lambda error, context, _: f"{_shown(error['input'])} must match {context['pattern']}",
    "string_type": _must_be("text"),
    "string_unicode": lambda *_: "must be valid Unicode text",
    "string_too_long": _must_be("at most {max_length} characters"),
    "none_required": _must_be("null"),
    "finite_number": _must_be("a finite number"),
    "greater_than": _must_be("greater than {gt}"),
    "greater_than_equal": _must_be("at least {ge}"),
    "less_than": _must_be("less than {lt}"),
    "less_than_equal": _must_be("at most {le}"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _must_be("a whole number")),
    **dict.fromkeys(("float_type", "float_parsing"), _must_be("a number")),
    **dict.fromkeys(("bool_type", "bool_parsing"), _must_be("true or false")),
    **dict.fromkeys(("list_type", "tuple_type"), _must_be("a list")),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _must_be("a mapping")),
}


def _shown(value: object) -> str:
    """A value as the file has it, shortened."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case str() if len(value) > _MAX_SHOWN_CHARS:
            return repr(value[:_MAX_SHOWN_CHARS] + "…")
        case _:
            return repr(value)
