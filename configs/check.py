"""Checks a whole Serve configuration file, offline: Serve itself ignores unknown keys and hangs on a failed deploy."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from configs.checks import addresses, engines, references, swap_groups
from configs.checks.positions import Document, Position, YamlError, parse_yaml
from configs.checks.validation import validate
from configs.finding import ConfigError, Finding, Problem, key_path_text
from configs.serve_file import ServeFile


def check(path: str | Path, environment: Mapping[str, str]) -> list[Finding]:
    """All findings in a file, in its order. Raises nothing, whatever the file holds.

    Args:
        path: The file.
        environment: The variables that Serve will run with.
    """
    return examine(path, environment)[1]


def load(path: str | Path, environment: Mapping[str, str] | None = None) -> ServeFile:
    """A file without errors; it may have warnings.

    Args:
        path: The file.
        environment: The variables that Serve will run with. Default: this process's.

    Raises:
        ConfigError: The file has errors.
    """
    file, findings = examine(path, os.environ if environment is None else environment)
    errors = [each for each in findings if each.severity == "error"]
    if file is None or errors:
        raise ConfigError(errors)
    return file


def examine(path: str | Path, environment: Mapping[str, str]) -> tuple[ServeFile | None, list[Finding]]:
    """What `check` and `load` give, together. The file is None when its keys or values are wrong."""
    try:
        text = _read(Path(path))
        document = parse_yaml(text)
    except YamlError as error:
        return None, [_finding(path, error.position, Problem((), str(error)))]
    file, problems = validate(document.value) if document.value is not None else (None, [Problem((), "is empty")])
    # What the parts say about each other can only be judged once each of them is right.
    problems += [] if file is None else _disagreements(file, environment)
    findings = [_finding(path, document.position(each.path), each) for each in problems]
    findings += _duplicates(path, document)
    return file, sorted(findings, key=lambda each: (each.line, each.column))


def _read(path: Path) -> str:
    """Raises: YamlError."""
    try:
        content = path.read_bytes()
        return content.decode("utf-8")
    except OSError as error:
        raise YamlError(f"cannot be read: {error.strerror or error}", Position(1, 1)) from error
    except UnicodeDecodeError as error:
        before = content[: error.start]
        position = Position(before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
        raise YamlError("is not UTF-8 text from here on", position) from error


def _disagreements(file: ServeFile, environment: Mapping[str, str]) -> Iterator[Problem]:
    yield from references.applications_are_unique(file)
    yield from references.there_is_one_router(file)
    yield from references.routes_lead_to_models(file)
    yield from references.tables_fit_their_engines(file)
    yield from references.models_have_routes(file)
    yield from references.sleepers_are_waited_for(file)
    yield from references.queues_have_a_limit(file)
    yield from references.names_suit_editors(file)
    yield from references.import_paths_are_ours(file)
    yield from addresses.throughput_mode_has_haproxy(file, environment)
    yield from addresses.haproxy_waits_for_streams(file, environment)
    yield from addresses.ports_are_free(file, environment)
    yield from addresses.keys_are_there(file, environment)
    yield from addresses.cache_secrets_are_there(file, environment)
    yield from addresses.batch_secrets_are_there(file, environment)
    yield from addresses.public_addresses_have_keys(file, environment)
    yield from engines.model_sources_exist(file)
    yield from engines.gpus_are_reserved(file)
    yield from engines.gpus_of_llama_cpp_are_decided(file)
    yield from engines.drains_fit_into_shutdowns(file)
    yield from swap_groups.groups_agree(file)
    yield from swap_groups.groups_share_gpus(file)
    yield from swap_groups.replicas_take_turns(file)
    yield from swap_groups.turns_are_waited_for(file)


def _duplicates(path: str | Path, document: Document) -> Iterator[Finding]:
    for key, position, first_line in document.duplicates:
        message = f"the key is there already, on line {first_line}; only this one would count"
        yield _finding(path, position, Problem(key, message))


def _finding(path: str | Path, position: Position, problem: Problem) -> Finding:
    key = key_path_text(problem.path)
    return Finding(str(path), position.line, position.column, key, problem.message, problem.severity)
