"""
The process of the vLLM engine: `vllm serve`, whose options are checked before the model is loaded. Run by path; needs
vLLM and the standard library only.

Its arguments are those of `vllm serve`. ENGINEHOUSE_SETTINGS has a JSON object: the setting that each option comes
from; an option that is not in it is the user's own. `VllmEngine.command` writes both. What a version of vLLM can do is
asked of its own parser, never of its number.
"""

import difflib
import functools
import importlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

OTHER_NAMES = {"--gpu-memory-utilization": ("--device-memory-utilization",)}
"""Other names of options that come from settings, for versions that lack the first."""

MODEL_FILES = ("config.json", "params.json")
"""One of these is in every model's folder; the second is Mistral's."""


OPEN_STREAMS_TIMEOUT_S = 1
"""How long a server that was told to stop waits for its open streams, in whole seconds."""


class CannotStartError(Exception):
    """The message says which option or which part of vLLM is at fault."""


class _ParserError(Exception):
    """What vLLM's parser would have printed below its usage."""


class InstalledVllm:
    """
    The installed vLLM's own `serve`, with its parser.

    Raises:
        CannotStartError: there is none, or it is not what we know since 0.26.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise CannotStartError(f"vLLM is not installed for {sys.executable}: set `interpreter` to one that has it")
        try:
            self._build()
        # OSError: a shared library of another system. RuntimeError: a build for GPUs finds none.
        except (ImportError, OSError, AttributeError, RuntimeError) as error:
            raise CannotStartError(f"the vLLM of {sys.executable} does not work here: {error}") from error

    def _build(self) -> None:
        self.version = str(importlib.import_module("vllm").__version__)
        self._command: Any = importlib.import_module("vllm.entrypoints.cli.serve").ServeSubcommand()
        flexible: Any = importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser

        class Parser(flexible):  # type: ignore[misc]  # vLLM is not installed where types are checked
            def error(self, message: str) -> NoReturn:
                raise _ParserError(message)

        self._parser = Parser(prog="vllm")
        serve_parser = self._command.subparser_init(self._parser.add_subparsers(dest="subparser"))
        # argparse has no public list of its options
        self.options = frozenset(name for action in serve_parser._actions for name in action.option_strings)  # noqa: SLF001

    def parse(self, words: Sequence[str]) -> Any:  # noqa: ANN401  vLLM's own type
        """
        The arguments, as vLLM's `serve` wants them.

        Raises:
            CannotStartError: vLLM does not know an option or refuses a value.
        """
        try:
            arguments = self._parser.parse_args(["serve", *words])
            self._command.validate(arguments)
        except SystemExit as error:
            raise CannotStartError(
                "an option that prints something and ends, such as --help, starts no server"
            ) from error
        except (_ParserError, TypeError, ValueError, LookupError) as error:
            text = str(error.args[0]) if error.args else repr(error)
            raise CannotStartError(text.removeprefix("Error: ")) from error
        return arguments

    def serve(self, arguments: Any) -> None:  # noqa: ANN401
        """Serves until a signal ends it."""
        # What vLLM's own command does around this; it cannot be called: it asks for the version of a distribution
        # named vllm, which builds for CPUs are not.
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        configure_logging = getattr(importlib.import_module("vllm.logger"), "configure_logging_from_args", None)
        if configure_logging is not None:
            configure_logging(arguments)
        self._command.cmd(arguments)


def bound_shutdown() -> None:
    """
    Makes SIGTERM end the server although streams are open.

    vLLM ends its engine's process first and then waits, without bound, for streams to end that have lost their engine
    (0.30: hangs when the signal comes in the first step of a request). Draining is done before, by whoever stops it.
    """
    config = importlib.import_module("uvicorn").Config
    given = config.__init__

    @functools.wraps(given)
    def bounded(self: object, *args: object, **options: object) -> None:
        options.setdefault("timeout_graceful_shutdown", OPEN_STREAMS_TIMEOUT_S)
        given(self, *args, **options)

    config.__init__ = bounded


def join_cluster(backend: str | None) -> None:
    """
    With vLLM's backend `ray`, its ranks become actors of the cluster that this process was started on.

    Raises:
        CannotStartError: there is no Ray here, or another version than the cluster's, which would fail later, and
            with less to read.
    """
    if backend != "ray":
        return
    # Ray hides all GPUs from a replica that reserves none, and vLLM takes that for a machine without.
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        del os.environ["CUDA_VISIBLE_DEVICES"]
    address, _, expected = os.environ.pop("ENGINEHOUSE_RAY", "").partition(" ")
    try:
        version = str(importlib.import_module("ray").__version__)
    except ImportError as error:
        wanted = f"Ray {expected}".rstrip()
        message = f"distributed_executor_backend: {wanted} is not installed for {sys.executable}"
        raise CannotStartError(message) from error
    if expected and version != expected:
        raise CannotStartError(
            f"distributed_executor_backend: the cluster runs Ray {expected}, and {sys.executable} has {version}"
        )
    if address:
        os.environ["RAY_ADDRESS"] = address


def refuse_missing_folder(model_source: str) -> None:
    """
    What is plainly a path must be a model's folder: vLLM would take it for a name on the hub.

    Raises:
        CannotStartError: there is no model there.
    """
    path = Path(model_source)
    if not (model_source.startswith(("/", "./", "../", "~")) or path.exists()):
        return
    if not path.exists():
        raise CannotStartError(f"model_source: there is no model at {model_source}: no such folder")
    if path.is_dir() and not any((path / name).is_file() for name in MODEL_FILES):
        raise CannotStartError(f"model_source: there is no model at {model_source}: the folder has no config.json")


def renamed(words: Sequence[str], settings: Mapping[str, str], known: frozenset[str]) -> list[str]:
    """The words with options that come from settings under the names that this vLLM has for them."""

    def name_here(word: str) -> str:
        if word not in settings or word in known:
            return word
        return next((other for other in OTHER_NAMES.get(word, ()) if other in known), word)

    return [name_here(word) for word in words]


def explain(message: str, settings: Mapping[str, str], known: frozenset[str]) -> str:
    """The parser's message in one line, with the setting to blame and, for an unknown option, a known one like it."""
    message = " ".join(message.split())
    unknown = re.match(r"unrecognized arguments: (.*)", message)
    if unknown is not None:
        words = unknown[1].split()
        option = next((word for word in words if word.startswith("-")), None)
        if option is None:
            return f"does not know what to do with {words[0]!r} (extra_args)"
        option = option.partition("=")[0]
        similar = difflib.get_close_matches(option, sorted(known), n=1)
        advice = f"; did you mean {similar[0]}?" if similar else ""
        return f"does not know the option {option} ({settings.get(option, 'extra_args')}){advice}"
    refused = re.match(r"argument ([^:]+): (.*)", message)
    if refused is not None:
        setting = next((settings[name] for name in refused[1].split("/") if name in settings), "extra_args")
        return f"refuses the value of {refused[1]} ({setting}): {refused[2]}"
    return f"refuses its options: {message}"


def main() -> None:
    settings: dict[str, str] = json.loads(os.environ.pop("ENGINEHOUSE_SETTINGS"))
    try:
        refuse_missing_folder(sys.argv[1])
        vllm = InstalledVllm()
    except CannotStartError as error:
        sys.exit(f"vLLM cannot start: {error}")
    try:
        arguments = vllm.parse(renamed(sys.argv[1:], settings, vllm.options))
    except CannotStartError as error:
        sys.exit(f"vLLM cannot start: vLLM {vllm.version} {explain(str(error), settings, vllm.options)}")
    try:
        join_cluster(arguments.distributed_executor_backend)
    except CannotStartError as error:
        sys.exit(f"vLLM cannot start: {error}")
    bound_shutdown()
    vllm.serve(arguments)


if __name__ == "__main__":
    main()
