"""`enginehouse route --explain REQUEST.json`: which model a request would get, and why, without asking anybody."""

import datetime as dt
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click

from configs.check import examine
from configs.serve_file import ServeFile
from router.call import ROUTES, Call, parse_call
from router.errors import ServingError
from router.http.asgi import Headers
from router.http.auth import ANONYMOUS_TENANT, presented_key, tenant_of
from router.http.bodies import encode_object
from router.models.table import ModelTable
from router.replicas.prefix_key import session_of
from router.routing.explanation import Explanation, RuleReport, explain
from router.routing.facts import Facts
from router.routing.policy import PolicyNotFound

_PATHS = {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/embeddings"}
"""Where a body is sent that has one of these fields."""
_ENVELOPE = frozenset({"body", "headers", "path"})


@click.command()
@click.option(
    "--explain",
    "request_file",
    metavar="REQUEST.json",
    required=True,
    type=click.File("rb"),
    help="The request: its body, or an object with `body`, `headers` and `path`. `-` reads it from the standard input.",
)
@click.option(
    "--config",
    "config_file",
    metavar="FILE",
    default="configs/laptop.yaml",
    show_default=True,
    type=Path,
    help="The configuration file.",
)
@click.option("--path", help="Path that the request is sent to. Default: by its fields.")
@click.option("--header", "given_headers", metavar="'NAME: VALUE'", multiple=True, help="A header of the request.")
@click.option("--at", metavar="TIME", help="When it is sent, as in 2026-11-30T08:15+01:00. Default: now.")
@click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", help="How the decision is printed."
)  # fmt: skip
def route(**options: Any) -> None:  # noqa: ANN401 - click's options, each typed where it is read
    """Say which model a request would get, by which rule, and why. Offline: nothing is asked or started.

    Exit code 0: it would be passed on. 1: it would be refused, or the configuration has errors. 2: wrong usage.
    """
    document = _read(options["request_file"].read())
    path = options["path"] or document.get("path") or _path_of(document["body"])
    headers = _headers(document.get("headers", {}), options["given_headers"])
    at = _moment(options["at"])
    file = _load(options["config_file"])
    try:
        table = ModelTable(file.router_app().user_config)
        call = _call(path, document["body"], headers)
        facts = Facts(
            call.route.task, call.route.prompt_field, call.body, len(call.raw), headers, _tenant(file, headers), at
        )
        explanation = explain(table, call, facts)
    except PolicyNotFound as error:
        _fail(str(error))
    except ServingError as error:
        _fail(f"the router would answer {error.status} {error.code}: {error.message}")
    if output_is_json := options["output"] == "json":
        click.echo(json.dumps(_as_json(explanation), indent=2, default=list))
    else:
        click.echo("\n".join(_lines(explanation)))
    if explanation.refusal is not None:
        if output_is_json:
            sys.exit(1)
        refusal = explanation.refusal
        _fail(f"the router would answer {refusal.status} {refusal.code}: {refusal.message}")


# what comes in


def _read(content: bytes) -> dict[str, Any]:
    """The envelope, around a bare body as well."""
    try:
        document = json.loads(content)
    except ValueError as error:
        raise click.UsageError(f"REQUEST.json is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise click.UsageError("REQUEST.json must hold an object: a request's body, or `body`, `headers` and `path`.")
    if not isinstance(document.get("body"), dict):
        return {"body": document}
    unknown = document.keys() - _ENVELOPE
    if unknown:
        raise click.UsageError(f"REQUEST.json has {sorted(unknown)} beside `body`; only `headers` and `path` may be.")
    if not isinstance(document.get("path", ""), str):
        raise click.UsageError("REQUEST.json: `path` must be text.")
    return document


def _path_of(body: Mapping[str, Any]) -> str:
    if "documents" in body:
        return "/v1/rerank"
    for field, path in _PATHS.items():
        if field in body:
            return path
    raise click.UsageError(
        f"The request has none of {', '.join(_PATHS)} and documents. Say with --path where it is sent."
    )


def _headers(document: object, given: tuple[str, ...]) -> Headers:
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise click.UsageError("REQUEST.json: `headers` must be an object of texts.")
    pairs = list(document.items())
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"--header must be 'NAME: VALUE', not {line!r}.")
        pairs.append((name.strip(), value.strip()))
    return [(name.lower().encode(), value.encode()) for name, value in pairs]


def _moment(text: str | None) -> dt.datetime:
    if text is None:
        return dt.datetime.now(dt.UTC)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--at must be a time as in 2026-11-30T08:15+01:00, not {text!r}.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _load(path: Path) -> ServeFile:
    """Of a file's mistakes only those count here that change the decision: keys and ports may be another machine's."""
    file, findings = examine(path, os.environ)
    errors = [one for one in findings if one.severity == "error" and (file is None or "user_config" in one.key)]
    if file is None or errors:
        _fail("\n".join(map(str, errors)))
    if not file.routers():
        _fail(f"{path} has no router")
    return file


def _call(path: str, body: Mapping[str, Any], headers: Headers) -> Call:
    """
    Raises:
        ServingError: the router would not take it.
    """
    route = ROUTES.get(path.partition("?")[0])
    if route is None:
        raise click.UsageError(f"No engine answers at {path!r}; requests go to {', '.join(ROUTES)}.")
    return parse_call(route, encode_object(body), session_of({"headers": headers}))


def _tenant(file: ServeFile, headers: Headers) -> str:
    """Where the router has no keys, nobody has a name, whatever was sent. Any key that is no dummy is taken for one."""
    keys = file.router_app().args.api_keys
    if not (keys.env or keys.file):
        return ""
    key = presented_key({"headers": headers}, keys.dummy_keys)
    if key is None or key in keys.dummy_keys:
        return ANONYMOUS_TENANT if keys.allow_anonymous else ""
    return tenant_of(key)


# what goes out


def _lines(explanation: Explanation) -> list[str]:
    facts = [_row(f"  {name}", _shown(value)) for name, value in explanation.facts.items()]
    lines = [_row("asked for", explanation.asked), "facts", *facts]
    if explanation.policy is not None:
        lines.append(_row("policy", explanation.policy))
    if explanation.rules:
        lines += ["rules", *(line for rule in explanation.rules for line in _rule_lines(rule))]
    limits = ", ".join(f"{name} {value}" for name, value in explanation.limits.items())
    return [
        *lines,
        _row("model", explanation.model),
        *([] if explanation.backend is None else [_row("backend", explanation.backend)]),
        _row("application", explanation.application),
        _row("fallbacks", ", ".join(explanation.fallbacks) or "none"),
        _row("limits", limits or "none"),
        _row("max_tokens", _shown(explanation.max_completion_tokens)),
        _row("header", f"x-enginehouse-route: {explanation.header}"),
    ]


def _rule_lines(rule: RuleReport) -> list[str]:
    verdict = "chosen" if rule.is_chosen else "fits, but comes later" if rule.fits else "does not fit"
    lines = [_row(f"  {rule.name}", f"{verdict}: {rule.model}")]
    for each in rule.conditions:
        sign = "holds" if each.holds else "fails"
        lines.append(_row("", f"{sign}: {each.condition} {_shown(each.wanted)}, and it is {_shown(each.fact)}"))
    return lines if rule.conditions else [f"{lines[0]} (no conditions)"]


def _row(name: str, value: str) -> str:
    return f"{name:<18}{value}".rstrip()


def _shown(value: object) -> str:
    match value:
        case None | "":
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple() | list():
            return " or ".join(map(str, value))
        case _:
            return str(value)


def _as_json(explanation: Explanation) -> dict[str, Any]:
    refusal = explanation.refusal
    fields = {name: getattr(explanation, name) for name in Explanation.__slots__}
    fields["rules"] = [asdict(rule) for rule in explanation.rules]
    fields["refusal"] = (
        None
        if refusal is None
        else {"status": refusal.status, "code": refusal.code, "message": refusal.message, "param": refusal.param}
    )
    return fields


def _fail(message: str) -> NoReturn:
    click.echo(f"enginehouse: {message}", err=True)
    sys.exit(1)
