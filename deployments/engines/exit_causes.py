"""Why an engine ended, picked out of what it printed."""

import re
from collections.abc import Iterable, Sequence

MAX_CAUSE_LENGTH = 600
"""In characters. vLLM's lists of what it knows are longer than anybody reads."""

_ORIGIN = re.compile(r"^(?:\([\w ]+(?: pid=\d+)?\) )?(?:(?:ERROR|CRITICAL) [\d-]+ [\d:.]+ \[[^\]]+\] ?)?")
"""vLLM names the process, and its logger level, time and place, on every line of a traceback."""

_OWN = re.compile(r"^[\w. ]+ cannot start(?:: | with )(.*)")
"""How the launchers of engines say what they found before the engine itself was asked."""

_EXCEPTION = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Exit|NotFound))(?:: (.+))?$")
_PYDANTIC = re.compile(r"^\d+ validation errors? for ")
_VALUE_ERROR = re.compile(r"^\s+(?:Value error|Assertion failed), (.*?)(?: \[type=.*)?$")
_USAGE = re.compile(r"^[\w./-]+(?: \w+)?: error: (.*)")
_MEMORY = re.compile(r"out of memory|OutOfMemoryError|can(?:no|')t allocate memory|std::bad_alloc", re.IGNORECASE)

_SPEAKS_FOR_ITSELF = {"ValueError", "RuntimeError", "Exception", "OutOfMemoryError"}
"""Names of exceptions that add nothing to their message."""

_PASSED_ON = re.compile(
    r"Engine core initialization failed|Engine core proc .* died|EngineCore encountered an issue|EngineDeadError"
    r"|Worker failed with error|CancelledError|Executor failed|leaked .* objects"
)
"""What one process says about another's failure; the reason stands above it."""


def find_cause(lines: Sequence[str]) -> str | None:
    """
    The line that says why, without where it was raised; None where no line looks like one.

    Looked for, in this order: a launcher's own words; memory that did not suffice; the last exception that is not just
    another process's failure passed on; a command line that was refused.
    """
    plain = [_ORIGIN.sub("", line) for line in lines]
    found = (
        _last(match[1] for line in plain if (match := _OWN.match(line)))
        or _last(_exception(plain, number) for number, line in enumerate(plain) if _MEMORY.search(line))
        or _last(
            _exception(plain, number)
            for number, line in enumerate(plain)
            if _EXCEPTION.match(line) and not _PASSED_ON.search(line)
        )
        or _last(match[1] for line in plain if (match := _USAGE.match(line)))
    )
    return None if found is None else _shortened(found)


def _last(texts: Iterable[str | None]) -> str | None:
    return next((text for text in reversed(list(texts)) if text), None)


def _exception(lines: Sequence[str], number: int) -> str | None:
    """The exception in a line, in the words of its message; pydantic's message stands in the lines below."""
    match = _EXCEPTION.match(lines[number])
    if match is None:
        return lines[number].strip()
    name, message = match[1], match[2]
    if message is not None and _PYDANTIC.match(message):
        below = next((found[1] for line in lines[number + 1 :] if (found := _VALUE_ERROR.match(line))), None)
        return below or " ".join([message, *(line.strip() for line in lines[number + 1 : number + 3])])
    if message is None:
        return name
    return message if name in _SPEAKS_FOR_ITSELF else f"{name}: {message}"


def _shortened(cause: str) -> str:
    return cause if len(cause) <= MAX_CAUSE_LENGTH else f"{cause[:MAX_CAUSE_LENGTH]} ..."
