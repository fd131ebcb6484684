"""
Which streams can go on with another engine from the text so far, and what that engine is asked. Pure.

The engine reads the prompt and the text that the client has as one prompt, and says what comes next. So whatever of an
answer is not in its text cannot be carried over: how far a grammar had come, half a tool call, log probabilities, the
draws of a seed, several choices.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from router.call import Call
from router.fitting.profiles import Profile
from router.http.bodies import encode_object
from router.http.event_stream import read_events

_LIMITS: Final = ("max_tokens", "max_completion_tokens", "n_predict")
"""Fields that bound an answer's tokens: OpenAI's two, and llama.cpp's own."""

_FORBIDDING: Final = frozenset(
    {
        "suffix", "echo", "logprobs", "top_logprobs", "prompt_logprobs", "n_probs", "return_token_ids",
        "grammar", "json_schema", "structured_outputs", "guided_json", "guided_regex", "guided_choice",
        "guided_grammar", "use_beam_search", "kv_transfer_params", "modalities", "truncate_prompt_tokens",
    }
)  # fmt: skip
"""Fields of which another value than these says that the text is not all of an answer, or not free."""
_HARMLESS: Final[tuple[object, ...]] = (None, False)
_MARKS_OF_THOUGHTS: Final = ("<think>", "</think>")
"""
What chat templates take for the limits of reasoning: what stands before the second of them, they leave out.

Source: the templates of Qwen3, QwQ and DeepSeek-R1.
"""


def may_resume(call: Call) -> bool:
    """Whether the rest of a streamed answer depends on the prompt and the text so far, and on nothing else."""
    if not call.wants_stream or call.route.task != "generate":
        return False
    body = call.body
    response_format = body.get("response_format")
    is_seeded = body.get("seed") is not None and body.get("temperature") != 0  # its draws would begin anew
    has_format = isinstance(response_format, dict) and response_format.get("type") != "text"
    has_choices = any(body.get(name) not in (None, 1) for name in ("n", "best_of"))
    hides_thoughts = body.get("include_reasoning") is False  # so nobody knows where they ended
    if is_seeded or has_format or has_choices or hides_thoughts:
        return False
    if any(_is_set(name, body[name]) for name in _FORBIDDING.intersection(body)):
        return False
    if call.route.is_chat:
        return body.get("tool_choice") in (None, "auto", "none")  # any other demands a call, by a grammar
    return isinstance(body["prompt"], str)


def _is_set(name: str, value: object) -> bool:
    # 0 == False in Python, and `logprobs: 0` of a text completion asks for something.
    return not any(value is harmless for harmless in _HARMLESS) and not (name == "suffix" and value == "")


@dataclass(slots=True, frozen=True)
class Said:
    """
    What a client has of a stream.

    `head` is what all its events have in common. `num_events` are those with a part of the text: engines send one for
    each token, or for a few at a time. `finish_reason` is None while there is none. `owed` follows `text`: the client
    has it, but the engine that goes on is to say it again.
    """

    head: Mapping[str, Any]
    text: str
    num_events: int
    has_role: bool
    finish_reason: str | None
    owed: str = ""

    def owing_blanks(self) -> "Said":
        """
        The same, with the blanks at the text's end owed.

        Two line ends that were two tokens become one when they are the last of a text, and another word follows that.
        """
        text = self.text.rstrip()
        return dataclasses.replace(self, text=text, owed=self.text[len(text) :])


def read_said(stream: bytes) -> Said | None:
    """
    The text of a stream so far, which is whole events.

    None where there is more than a text, which nobody could go on with: a tool call, or reasoning, which templates take
    out of what a model has said before.
    """
    head: dict[str, Any] = {}
    texts: list[str] = []
    has_role, is_chat, finish_reason = False, False, None
    try:
        for event in read_events(stream):
            if event is None:
                continue
            head = head or {name: value for name, value in event.items() if name in _COMMON}
            for choice in event.get("choices") or ():
                part = choice.get("delta", choice)
                if _says_more(part):
                    return None
                has_role, is_chat = has_role or "role" in part, "delta" in choice
                finish_reason = choice.get("finish_reason") or finish_reason
                text = text_of(part)
                if text:
                    texts.append(text)
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        return None
    said = "".join(texts)
    if is_chat and any(mark in said for mark in _MARKS_OF_THOUGHTS):
        return None
    return Said(head, said, len(texts), has_role, finish_reason)


_COMMON: Final = frozenset({"id", "created", "model", "system_fingerprint"})


def text_of(part: Mapping[str, Any]) -> str:
    """That of a chat's delta, or of a choice of a text completion."""
    text = part.get("content") or part.get("text") or ""
    return text if isinstance(text, str) else ""


def _says_more(part: Mapping[str, Any]) -> bool:
    return bool(part.get("tool_calls") or part.get("function_call") or says_reasoning(part) or part.get("refusal"))


def says_reasoning(part: Mapping[str, Any]) -> bool:
    return bool(part.get("reasoning_content") or part.get("reasoning"))


@dataclass(slots=True, frozen=True)
class Rest:
    """What is asked for. `is_spent` says that nothing may follow: the engine is asked for its count of the prompt."""

    call: Call
    is_spent: bool
    finish_reason: str | None
    """That of the answer, should nothing follow. None while the engine says it."""


def rest_of(call: Call, said: Said, num_tokens: int, profile: Profile) -> Rest | None:
    """
    The request for the rest of an answer; None where this engine cannot give it.

    Args:
        call: as the client asked.
        said: what the client has.
        num_tokens: of the text that the client has.
        profile: of the engine that shall go on.
    """
    if profile.continues_by is None:
        return None
    body = _continued(call, said.text, profile.continues_by) if said.text else {**call.body}
    if body is None:
        return None
    left = _limit_rest(body, num_tokens, None if call.route.is_chat else profile.default_max_tokens)
    is_spent = said.finish_reason is not None or left < 1
    if is_spent:
        body.update({name: 1 for name in _LIMITS if body.get(name) is not None}, max_tokens=1, min_tokens=0)
    options = body.get("stream_options")
    body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    rest = dataclasses.replace(call, body=body, raw=encode_object(body), wants_usage=True)
    return Rest(rest, is_spent, said.finish_reason or ("length" if is_spent else None))


def _limit_rest(body: dict[str, object], num_tokens: int, default: int | None) -> int:
    """Take what was said off `body`'s limits. Returns the tokens that are left: 1 at least where there is no limit."""
    least = body.get("min_tokens")
    if isinstance(least, int):
        body["min_tokens"] = max(0, least - num_tokens)
    if default is not None and body.get("max_tokens") is None:
        body["max_tokens"] = default
    left = 2**31
    for name in _LIMITS:
        limit = body.get(name)
        if isinstance(limit, int) and limit >= 0:
            left = min(left, limit - num_tokens)
            body[name] = max(1, limit - num_tokens)
    return left


def _continued(call: Call, text: str, continues_by: Mapping[str, object]) -> dict[str, object] | None:
    body = {**call.body}
    if not call.route.is_chat:
        body["prompt"] = f"{body['prompt']}{text}"
        return body
    messages = body["messages"]
    assert isinstance(messages, list)  # noqa: S101 - the request was checked
    last = messages[-1]
    if body.get("add_generation_prompt") is False and body.get("continue_final_message") is not True:
        return None  # the client has a beginning of its own in mind
    if last["role"] == "assistant" and (not continues_by or body.get("continue_final_message") is True):
        begun = last.get("content")
        if not isinstance(begun, str):
            return None
        body["messages"] = [*messages[:-1], {**last, "content": begun + text}]
    else:
        body["messages"] = [*messages, {"role": "assistant", "content": text}]
    body.update(continues_by)
    return body
