"""Rules for chat and text completions, whole or streamed."""

from typing import Any

from deployments.editors.rules.basic import ok, plain, whole
from deployments.editors.step import Answer, Fault, Rule


def streamed(answer: Answer) -> None:
    kind = answer.headers.get("content-type", "none")
    if not kind.startswith("text/event-stream"):
        raise Fault(f"the content type is {kind}, not text/event-stream")


def spaced(answer: Answer) -> None:
    """huggingface-vscode-chat reads only lines that begin with `data: `, the space included."""
    if any(line.startswith("data:") and not line.startswith("data: ") for line in answer.lines):
        raise Fault("an event begins with `data:` and no space, which huggingface-vscode-chat passes over")


def no_pings(answer: Answer) -> None:
    """Continue takes such a comment for the end."""
    if any(line.startswith(": ping") for line in answer.lines):
        raise Fault("a comment begins with `: ping`, at which Continue stops reading")


def no_error_event(answer: Answer) -> None:
    for event in answer.events:
        error = event.get("error")
        if error:
            raise Fault(f"the stream ends with an error: {error}")


def speaks(answer: Answer) -> None:
    """Words or a call of a tool; thoughts alone are no answer to any client."""
    if any(_says(choice) for event in answer.events for choice in event.get("choices", [])):
        return
    if any(_thinks(choice) for event in answer.events for choice in event.get("choices", [])):
        if answer.is_left:
            return
        raise Fault("the model only thought and said nothing: clients show `no choices` or an empty answer")
    raise Fault("the stream has no words and no calls of tools: clients show `no choices` or an empty answer")


def finishes(answer: Answer) -> None:
    if answer.is_left:
        return
    choices = [choice for event in answer.events for choice in event.get("choices", [])]
    if not any(choice.get("finish_reason") for choice in choices):
        raise Fault("no chunk has a finish_reason: tools are not called, and Tabby's client crashes")


def done(answer: Answer) -> None:
    if answer.is_left:
        return
    if not answer.data or answer.data[-1] != "[DONE]":
        raise Fault("the stream does not end with [DONE]")
    if not answer.body.endswith(b"\n"):
        raise Fault("the last line has no end, so huggingface-vscode-chat never reads it")


def no_usage_between(answer: Answer) -> None:
    """Continue drops a chunk that has usage, whatever else is in it."""
    if any(event.get("usage") and event.get("choices") for event in answer.events):
        raise Fault("a chunk with words has usage, too: Continue drops it, and the answer vanishes")


def usage_at_the_end(answer: Answer) -> None:
    if answer.is_left:
        return
    last = answer.events[-1] if answer.events else {}
    if last.get("choices") != [] or not isinstance(last.get("usage"), dict):
        raise Fault("usage was asked for, and the last chunk is not one with usage and empty choices")


def no_usage(answer: Answer) -> None:
    if any(event.get("usage") for event in answer.events):
        raise Fault("a chunk has usage, which nobody asked for")


def calls_are_numbered(answer: Answer) -> None:
    """Clients put the pieces of a call together by its index, and answer by its id."""
    begun: set[int] = set()
    for event in answer.events:
        for choice in event.get("choices", []):
            for call in choice.get("delta", {}).get("tool_calls") or []:
                index = call.get("index")
                if not isinstance(index, int):
                    raise Fault(f"a piece of a tool call has no index: {call}")
                if index not in begun and not call.get("id"):
                    raise Fault(f"a tool call begins without an id: {call}")
                begun.add(index)


def whole_chat(answer: Answer) -> None:
    choices = answer.document.get("choices") or [{}]
    if not isinstance(choices[0].get("message", {}).get("role"), str):
        raise Fault(f"the answer has no choices with a message: {answer.shown}")
    if not choices[0].get("finish_reason"):
        raise Fault("the answer has no finish_reason")


def _says(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    return bool(delta.get("content") or delta.get("tool_calls") or choice.get("text"))


def _thinks(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta") or {}
    return bool(delta.get("reasoning_content") or delta.get("reasoning"))


STREAM: tuple[Rule, ...] = (
    ok, streamed, plain, whole, spaced, no_pings, no_error_event, no_usage_between, speaks, calls_are_numbered,
    finishes, done,
)  # fmt: skip
"""What every client that reads a stream needs, even if only one of them breaks without it."""
COMPLETION_STREAM: tuple[Rule, ...] = (
    ok, streamed, plain, whole, spaced, no_pings, no_error_event, no_usage_between, finishes, done,
)  # fmt: skip
"""Of a text completion, which may well be empty."""
FIM_STREAM: tuple[Rule, ...] = tuple(rule for rule in COMPLETION_STREAM if rule is not no_usage_between)
"""Of Mistral's completions, whose last chunk has the usage beside why it ended."""
