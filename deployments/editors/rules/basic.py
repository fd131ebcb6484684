"""Rules for every answer: its status, its kind, its shape."""

from collections.abc import Sequence

from deployments.editors.step import Answer, Fault, Rule


def ok(answer: Answer) -> None:
    if not 200 <= answer.status < 300:
        raise Fault(f"status {answer.status}: {answer.shown}")


def plain(answer: Answer) -> None:
    """No client of ours unpacks a stream, and a packed one arrives late."""
    encoding = answer.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Fault(f"the answer is packed ({encoding}), although a stream must pass as it is made")


def whole(answer: Answer) -> None:
    if not answer.is_left and not answer.is_whole:
        raise Fault(f"the connection was lost in the middle of the answer: ...{answer.body[-200:]!r}")


def names_its_request(answer: Answer) -> None:
    """SDKs show the id in every error, and nothing is found in a log without it."""
    if not answer.headers.get("x-request-id"):
        raise Fault("the answer has no x-request-id")


def refused_with(status: int, code: str) -> Rule:
    def rule(answer: Answer) -> None:
        if answer.status != status:
            raise Fault(f"status {answer.status} instead of {status} with the code {code}: {answer.shown}")
        error = answer.document.get("error")
        if not isinstance(error, dict) or error.get("code") != code:
            raise Fault(f"the error's code must be {code}: {answer.shown}")

    return rule


def has(path: Sequence[str | int], kind: type | tuple[type, ...]) -> Rule:
    """The value at `path` is of this kind, and there is one."""

    def rule(answer: Answer) -> None:
        value = answer.document
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise Fault(f"the answer has no {_dotted(path)}: {answer.shown}") from None
        if not isinstance(value, kind):
            raise Fault(f"{_dotted(path)} is {value!r}, which the client cannot read")

    return rule


def lists_models(answer: Answer) -> None:
    """Clients look for the context under one of two names, and some read the first card only."""
    cards = answer.document.get("data")
    if not isinstance(cards, list) or not cards:
        raise Fault("the list of models is empty")
    for card in cards:
        if "|" in card["id"]:
            raise Fault(f"the name {card['id']!r} has a |, at which the extension cuts it")
    if not any(isinstance(card.get("max_model_len"), int) for card in cards):
        raise Fault("no model says its max_model_len: clients take 2048 for granted")
    if not any(isinstance(card.get("context_length"), int) for card in cards):
        raise Fault("no model says its context_length")


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path))
