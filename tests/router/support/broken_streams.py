"""Streams that break after two words, and their rests by another engine."""

from collections.abc import Mapping, Sequence

from door import Door
from scripted_engine import Ending, ScriptedEngine, Step
from wire import DONE, STOP, STREAM_HEAD, TOKENS, chunk, event, stream, token

from router.http.event_stream import read_events

ROLE = event(
    {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
     "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
)  # fmt: skip
UNFINISHED: Mapping[str, Sequence[Step]] = {
    "closed": [STREAM_HEAD, chunk(TOKENS), Ending.CLOSE],
    "without an end": [stream(TOKENS)],
    "an error event": [stream(TOKENS, event({"error": {"message": "out of blocks", "code": 500}}))],
}
"""Streams that end after two words without having been whole, in each way that an engine has."""
BROKEN = (STREAM_HEAD, chunk(ROLE + token("Hel") + token("lo,")), Ending.RESET)


def of_another(*events: bytes) -> bytes:
    """The events as another engine's: another id, another date."""
    return b"".join(events).replace(b'"id":"c1"', b'"id":"c2"').replace(b'"created":1', b'"created":2')


def usage(num_prompt: int, num_completion: int) -> bytes:
    counts = {"prompt_tokens": num_prompt, "completion_tokens": num_completion}
    counts["total_tokens"] = num_prompt + num_completion
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                  "usage": counts})  # fmt: skip


REST = stream(of_another(ROLE, token(" wor"), token("ld"), STOP, usage(9, 2), DONE))
"""By an engine that has read seven tokens of prompt, and two of the answer."""


def two_engines(door: Door, first: ScriptedEngine, second: ScriptedEngine, profile: str = "vllm") -> None:
    """The first is asked first."""
    door.serve_with(second.replica("second", profile), first.replica("first", profile))


def text_of(body: bytes) -> str:
    choices = [each["choices"][0] for each in read_events(body) if each and each["choices"]]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices)
