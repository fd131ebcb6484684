"""
Writes the tables of docs/reference/ from the code: `make docs`.

A page holds its own prose; what stands between `<!-- begin NAME` and `<!-- end NAME -->` is written here. The tests
compare both, so that a page cannot fall behind the code.
"""
# ruff: noqa: INP001 - a script beside the pages that it writes, not part of a package

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from configs.engine import EngineSettings
from configs.router import RouterArgs, RouterUserConfig
from configs.serve_file import ServeFile
from configs.settings import Settings
from deployments.cli import main
from router import errors
from router.control_api import ANONYMOUS_PATHS, create_control_api
from router.errors import ServingError
from router.http.auth import KeyRing
from router.metrics import METRICS, Metric, NoMetrics
from router.models.table import ModelTable
from router.state import RouterState
from router.validation import (
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    EMBEDDING_FIELDS,
    RERANK_FIELDS,
    SPEECH_FIELDS,
    TRANSCRIPTION_FIELDS,
)

REFERENCE = Path(__file__).parent / "reference"
NOTHING = "-"

JsonSchema = Mapping[str, Any]


# configuration

TITLES: Mapping[str, str] = {
    "ServeFile": "The file",
    "Application": "Every application",
    "RouterApplication": "The router's application",
    "RouterArgs": "The router: `args`",
    "ListenerSettings": "The router: `args.listener`",
    "ApiKeySettings": "The router: `args.api_keys`",
    "BatchSettings": "The router: `args.batches`",
    "FolderStoreSettings": "The router: `args.batches.store` in a folder",
    "S3StoreSettings": "The router: `args.batches.store` in a bucket",
    "RouterDeployment": "The router: its entry of `deployments`",
    "RouterUserConfig": "The router: `user_config`",
    "ModelRoute": "The router: `user_config.models`, one row",
    "ModelLimits": "The router: `limits` of a model",
    "AutoRoute": "The router: `user_config.auto`, one name",
    "AutoRule": "The router: `rules` of such a name, one rule",
    "RuleConditions": "The router: `when` of a rule",
    "BackendSettings": "The router: `user_config.models`, `backends`",
    "ShadowSettings": "The router: `user_config.models`, `shadow`",
    "CanaryRule": "The router: `user_config.models`, `canary_rule`",
    "RequestSettings": "The router: `user_config.requests`",
    "ModelApplication": "A model's application",
    "EngineDeployment": "A model: its entry of `deployments`",
    "EngineSettings": "A model: `args` of every engine",
    "SwapSettings": "A model: `swap` in the `args` of an engine",
    "VllmSwapSettings": "A model: `swap` in the `args` of the engine `vllm`",
    "OtherApplication": "An application of your own",
    "OtherDeployment": "An application of your own: its entries of `deployments`",
    "DeploymentOptions": "Every entry of `deployments`",
    "ControllerRuntimeEnv": "`controller_options.runtime_env`",
    "AutoscalingPolicy": "`autoscaling_config.policy`",
    "DeploymentActorConfig": "`deployment_actors`, one entry",
}
"""Titles of blocks whose key alone would not say enough."""

OURS = ("The file", "The router", "A model")
"""How the titles of Enginehouse's own blocks begin. They stand before those that are Ray Serve's."""


def config_tables() -> str:
    titles = {block.__name__: title for block, title in config_blocks().items()}
    contents = "\n".join(f"- {_link(title)}" for title in titles.values())
    return "\n".join([contents, *(_block_section(block, titles) for block in config_blocks())])


def config_blocks() -> dict[type[Settings], str]:
    """Every block of settings that a file can have, with its title, in the order of the page."""
    titles = {block: _title(block, key) for block, key in _reachable(ServeFile, "")}
    return dict(sorted(titles.items(), key=lambda item: not item[1].startswith(OURS)))


def _title(block: type[Settings], key: str) -> str:
    if issubclass(block, EngineSettings) and block is not EngineSettings:
        (engine,) = get_args(block.model_fields["engine"].annotation)
        return f"A model: `args` of the engine `{engine}`"
    return TITLES.get(block.__name__, f"`{key}`")


def _reachable(block: type[Settings], key: str) -> Iterator[tuple[type[Settings], str]]:
    """A block under its key, what it builds on, and the blocks inside it."""
    yield block, key
    for base in block.__bases__:
        if issubclass(base, Settings) and base is not Settings:
            yield from _reachable(base, key)
    for name in block.__annotations__:
        if name in block.model_fields:
            for inner in _settings_in(block.model_fields[name].annotation):
                yield from _reachable(inner, name)


def _settings_in(annotation: object) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    elif isinstance(annotation, type) and issubclass(annotation, RootModel):
        yield from _settings_in(annotation.model_fields["root"].annotation)
    for argument in get_args(annotation):
        yield from _settings_in(argument)


def _block_section(block: type[Settings], titles: Mapping[str, str]) -> str:
    lines = [f"\n## {titles[block.__name__]}\n", _one_line(inspect.getdoc(block) or "")]
    bases = [base.__name__ for base in block.__bases__ if base.__name__ in titles]
    if bases:
        lines.append(f"\nHas the keys of {', '.join(_link(titles[base]) for base in bases)} too.")
    own = {name: field for name, field in block.model_fields.items() if name in block.__annotations__}
    schema = block.model_json_schema()
    rows = [_key_row(name, field, schema, titles) for name, field in own.items()]
    return "\n".join([*lines, "", "| key | type | default | |", "|---|---|---|---|", *rows])


def _key_row(name: str, field: FieldInfo, schema: JsonSchema, titles: Mapping[str, str]) -> str:
    described = _type(schema["properties"][name], schema.get("$defs", {}), titles)
    return _row(f"`{name}`", described, _default(field), _one_line(field.description or ""))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}) or isinstance(value, BaseModel):
        return NOTHING
    return f"`{json.dumps(value)}`"


def _type(schema: JsonSchema, defs: Mapping[str, JsonSchema], titles: Mapping[str, str]) -> str:
    """A JSON Schema in words, with its range."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _link(titles[name]) if name in titles else _type(defs[name], defs, titles)
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        words = [_type(each, defs, titles) for each in alternatives if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return f"list of {_type(schema.get('items') or {}, defs, titles)}"
        case "object":
            inner = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
            return f"mapping to {_type(inner, defs, titles)}" if isinstance(inner, dict) else "mapping"
        case kind:
            return _KINDS.get(str(kind), "anything") + _range(schema)


_KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "`null`"}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _range(schema: JsonSchema) -> str:
    bounds = ((sign, schema[key]) for key, sign in _BOUNDS.items() if key in schema)
    return "".join(f", {sign} {int(bound) if bound == int(bound) else bound}" for sign, bound in bounds)


# errors

WHEN: Mapping[type[ServingError], str] = {
    errors.ServingError: "A fault of the router itself. Its log has the details, under the request id.",
    errors.InvalidRequest: "The request has a mistake that `param` names. Engines' own complaints come as this too.",
    errors.ContextLengthExceeded: "The prompt is longer than the model's context, or than `limits.max_prompt_tokens`.",
    errors.PreviousResponseNotFound: "A response was to go on from another one, and none is kept.",
    errors.ModelDoesNotSupport: "The model is for another kind of request, as an embedding model asked for a chat.",
    errors.UnsupportedParameter: "The model's engine would ignore a field that changes the answer.",
    errors.InvalidApiKey: "No API key, or one that is not accepted.",
    errors.ModelsAreConfigured: "A client of Ollama's wants to pull, create, copy or delete a model. Models are set in "
    "the configuration.",
    errors.RouteNotFound: "There is nothing at this path.",
    errors.ModelNotFound: "No model and no alias has this name. The message lists those that there are.",
    errors.ObjectNotFound: "No file or batch of this API key has this id, or the file has expired.",
    errors.MethodNotAllowed: "The path exists, for another method.",
    errors.RequestTimeout: "The client did not send its headers, or its body, within `listener.request_timeout_s`.",
    errors.RequestTooLarge: "The body is larger than `listener.max_body_bytes`, or a form with a recording than "
    "`listener.max_recording_bytes`.",
    errors.RateLimited: "One API key has as many requests at a model as it may: `limits.max_requests_per_key`.",
    errors.HeadersTooLarge: "The request line and headers are larger than `listener.max_header_bytes`.",
    errors.EngineFailed: "The engine gave up on this request, or was lost in the middle of its answer.",
    errors.BatchesNotConfigured: "Files and batches are off: the setting `batches.store` names no place for them.",
    errors.StoreUnavailable: "The folder or bucket of files and batches does not answer. The log says why.",
    errors.EngineOverloaded: "Every replica that was tried is full, the router's queue is, a request waited in it for "
    "`queue.max_wait_s`, or the model or the router has what it takes.",
    errors.EngineUnavailable: "No replica was ready in time, or all that were tried failed before their first byte.",
    errors.EngineTimeout: "A deadline of the model's, or the client's, has passed: the message says which.",
    errors.CompletionTooLate: "A completion in an editor had not begun within `autocomplete.deadline_s`.",
}
"""When each error is sent, for readers who have not read the code."""


def error_table() -> str:
    head = "| status | `code` | `type` | `x-should-retry` | when |\n|---|---|---|---|---|\n"
    ordered = sorted(error_tree(), key=lambda error: error.status)
    return head + "\n".join(_error_row(error) for error in ordered)


def error_tree(root: type[ServingError] = ServingError) -> list[type[ServingError]]:
    return [root, *(error for child in root.__subclasses__() for error in error_tree(child))]


def _error_row(error: type[ServingError]) -> str:
    retry = "" if error.should_retry is None else f"`{json.dumps(error.should_retry)}`"
    return _row(str(error.status), f"`{error.code}`", f"`{error.type}`", retry, WHEN[error])


# metrics


def metric_sections() -> str:
    return "\n".join(_metric_section(metric) for metric in METRICS).strip()


def exported_name(metric: Metric) -> str:
    """The name that Prometheus sees."""
    return f"ray_{metric.name}_total" if metric.kind == "counter" else f"ray_{metric.name}"


def _metric_section(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    buckets = f"\nBuckets up to {', '.join(f'{bound:g}' for bound in metric.buckets)}." if metric.buckets else ""
    facts = f"{metric.kind.capitalize()}, in {metric.unit}. Labels: {labels}.{buckets}"
    return f"## `{exported_name(metric)}`\n\n{metric.description}\n\n{facts}\n"


# the command line


def command_sections() -> str:
    context = click.Context(main, info_name="enginehouse")
    return "\n".join(_sections_of(main, context)).strip()


def _sections_of(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield _command_section(command, context)
        if isinstance(command, click.Group):
            yield from _sections_of(command, click.Context(command, context, info_name=name))


def _command_section(command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, parent, info_name=command.name)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = f"## `{context.command_path}`\n\n```\n{usage}\n```\n\n{inspect.cleandoc(command.help or '')}\n"
    options = [param for param in command.params if isinstance(param, click.Option)]
    if not options:
        return text
    rows = "\n".join(_option_row(option, context) for option in options)
    return f"{text}\n| option | default | |\n|---|---|---|\n{rows}\n"


def _option_row(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    default = option.get_default(context)
    has_default = not option.is_flag and isinstance(default, str | int | float)
    help_text = _one_line(option.help or "") + (f" Environment: `{option.envvar}`." if option.envvar else "")
    return _row(f"`{', '.join(option.opts)}{value}`", f"`{default}`" if has_default else NOTHING, help_text)


# HTTP


def route_table() -> str:
    rows = [
        _row(f"`{method.upper()}`", f"`{path}`", operation["summary"], "no" if path in ANONYMOUS_PATHS else "yes")
        for path, operations in asyncio.run(_openapi())["paths"].items()
        for method, operation in operations.items()
    ]
    return "| method | path | | needs a key |\n|---|---|---|---|\n" + "\n".join(rows)


async def _openapi() -> dict[str, Any]:
    """The document of a router that knows no model."""
    table = ModelTable(RouterUserConfig(models={}))
    state = RouterState(table, KeyRing([]), RouterArgs().listener, NoMetrics(), "docs")
    try:
        return create_control_api(state, created_at=0).openapi()
    finally:
        await state.close()


def chat_fields() -> str:
    return _field_table([("messages", "an array with at least one message"), *_wanted(CHAT_FIELDS)], "messages")


def completion_fields() -> str:
    return _field_table(_wanted(COMPLETION_FIELDS), "prompt")


def embedding_fields() -> str:
    return _field_table(_wanted(EMBEDDING_FIELDS), "input")


def rerank_fields() -> str:
    return _field_table(_wanted(RERANK_FIELDS), "query", "documents")


def transcription_fields() -> str:
    return _field_table([("file", "a file that is not empty"), *_wanted(TRANSCRIPTION_FIELDS)], "file")


def speech_fields() -> str:
    return _field_table(_wanted(SPEECH_FIELDS), "input")


def _wanted(rules: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, rule.wants) for name, rule in rules.items()]


def _field_table(wanted: Iterable[tuple[str, str]], *required: str) -> str:
    ordered = sorted([("model", "the name of a model, or an alias"), *wanted], key=lambda each: each[0] not in required)
    ordered.sort(key=lambda each: each[0] != "model")
    rows = [
        _row(f"`{name}`", f"{wants}; required" if name in ("model", *required) else wants) for name, wants in ordered
    ]
    return "| field | |\n|---|---|\n" + "\n".join(rows)


# Markdown


def slug(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _link(title: str) -> str:
    return f"[{title}](#{slug(title)})"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())


REGIONS: Mapping[str, Callable[[], str]] = {
    "config": config_tables,
    "errors": error_table,
    "metrics": metric_sections,
    "commands": command_sections,
    "routes": route_table,
    "chat-fields": chat_fields,
    "completion-fields": completion_fields,
    "embedding-fields": embedding_fields,
    "rerank-fields": rerank_fields,
    "transcription-fields": transcription_fields,
    "speech-fields": speech_fields,
}
_REGION = re.compile(r"(<!-- begin ([\w-]+)[^\n]*-->\n).*?(<!-- end \2 -->)", re.DOTALL)


def renew(page: str) -> str:
    """A page with each of its regions as the code has it now."""
    return _REGION.sub(lambda found: f"{found[1]}\n{REGIONS[found[2]]()}\n\n{found[3]}", page)


if __name__ == "__main__":
    for path in sorted(REFERENCE.glob("*.md")):
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
        click.echo(f"wrote {path}")
