"""Rules for Anthropic's Messages and OpenAI's Responses."""

from deployments.editors.rules.basic import ok, plain, whole
from deployments.editors.rules.chat import no_pings, streamed
from deployments.editors.step import Answer, Fault, Rule


def message_begins(answer: Answer) -> None:
    kinds = [event.get("type") for event in answer.events if event.get("type") != "ping"]
    if "error" in kinds:
        raise Fault(f"the stream has an error: {answer.events[-1]}")
    if kinds[:1] != ["message_start"]:
        raise Fault(f"the stream begins with {kinds[:1]}, not with message_start")
    if "content_block_start" not in kinds:
        raise Fault("the message has no content")


def blocks_are_paired(answer: Answer) -> None:
    """One block at a time, each with its number from start to stop."""
    opened: int | None = None
    for event in answer.events:
        match event.get("type"):
            case "content_block_start":
                if opened is not None:
                    raise Fault(f"block {event.get('index')} begins before block {opened} has ended")
                opened = event.get("index")
            case "content_block_delta" | "content_block_stop" as kind:
                if event.get("index") != opened:
                    raise Fault(f"{kind} of block {event.get('index')} while block {opened} is open")
                opened = None if kind == "content_block_stop" else opened
    if opened is not None and not answer.is_left:
        raise Fault(f"block {opened} never ends")


def message_ends(answer: Answer) -> None:
    if answer.is_left:
        return
    reasons = [event["delta"].get("stop_reason") for event in answer.events if event.get("type") == "message_delta"]
    if not any(reasons):
        raise Fault("no message_delta has a stop_reason")
    if answer.events[-1].get("type") != "message_stop":
        raise Fault("the stream does not end with message_stop")


def response_begins(answer: Answer) -> None:
    kinds = [event.get("type") for event in answer.events]
    if kinds[:1] != ["response.created"]:
        raise Fault(f"the stream begins with {kinds[:1]}, not with response.created")
    if "response.failed" in kinds or "error" in kinds:
        raise Fault(f"the response failed: {answer.events[-1]}")
    numbers = [event.get("sequence_number") for event in answer.events]
    if numbers != list(range(len(numbers))):
        raise Fault("the events are not numbered one by one")


def response_ends(answer: Answer) -> None:
    if answer.is_left:
        return
    last = answer.events[-1].get("type")
    if last not in ("response.completed", "response.incomplete"):
        raise Fault(f"the stream ends with {last}, not with response.completed: Codex connects five times more")


MESSAGE_STREAM: tuple[Rule, ...] = (
    ok, streamed, plain, whole, no_pings, message_begins, blocks_are_paired, message_ends,
)  # fmt: skip
RESPONSE_STREAM: tuple[Rule, ...] = (ok, streamed, plain, whole, no_pings, response_begins, response_ends)
