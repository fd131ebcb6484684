"""Checks of text: whole answers, streams, limits and errors."""

from collections.abc import Mapping
from typing import Any

from deployments.conformance.subject import CHAT, COMPLETION, Deviation, JsonObject, Subject, demand

USER = [{"role": "user", "content": "Name three colours."}]
FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})


def demand_usage(document: Mapping[str, Any]) -> None:
    usage = document.get("usage")
    if not isinstance(usage, dict):
        raise Deviation("a usage", document)
    prompt, answered, total = (usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if not isinstance(prompt, int) or not isinstance(answered, int) or not isinstance(total, int):
        raise Deviation("a usage with three counts", usage)
    demand(prompt + answered == total, "a total that is the sum of its parts", usage)


async def chat(subject: Subject) -> None:
    """A chat's answer has an id, the model's name, one choice with a message, a finish reason and usage."""
    answer = await subject.chat("Name three colours.", max_tokens=8)
    demand(isinstance(answer.get("id"), str) and answer["id"], "an id", answer)
    demand(answer.get("object") == "chat.completion", "object chat.completion", answer.get("object"))
    demand(isinstance(answer.get("created"), int), "a whole number of seconds in created", answer.get("created"))
    demand(answer.get("model") == subject.model, f"model {subject.model}", answer.get("model"))
    (choice,) = answer["choices"]
    demand(choice["message"].get("role") == "assistant", "the role assistant", choice)
    demand(isinstance(choice["message"].get("content"), str), "content that is text", choice)
    demand(choice.get("finish_reason") in FINISH_REASONS, "a finish reason", choice)
    demand_usage(answer)


async def chat_stream(subject: Subject) -> None:
    """All chunks of a stream share id and model; the first has the role, one the finish reason, none usage."""
    events = await subject.stream(CHAT, messages=USER, max_tokens=8)
    demand(len(events) > 1, "more than one event", events)
    for name in ("id", "model", "object"):  # llama.cpp's `created` moves on with the clock
        values = {event.get(name) for event in events}
        demand(len(values) == 1, f"one {name} on all chunks", sorted(map(str, values)))
    demand(events[0]["object"] == "chat.completion.chunk", "object chat.completion.chunk", events[0])
    demand(events[0]["model"] == subject.model, f"model {subject.model}", events[0]["model"])
    choices = [choice for event in events for choice in event["choices"]]
    demand(choices[0]["delta"].get("role") == "assistant", "the role assistant in the first chunk", choices[0])
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    demand(len(reasons) == 1 and reasons[0] in FINISH_REASONS, "exactly one finish reason", reasons)
    demand(all(event.get("usage") is None for event in events), "no usage that was not asked for", events[-1])


async def chat_stream_usage(subject: Subject) -> None:
    """Usage that is asked for comes on a last chunk of its own, without choices."""
    events = await subject.stream(CHAT, messages=USER, max_tokens=8, stream_options={"include_usage": True})
    demand(events[-1]["choices"] == [], "a last chunk without choices", events[-1])
    demand_usage(events[-1])


async def stream_equals_whole(subject: Subject) -> None:
    """At temperature 0 a stream says what the whole answer says."""
    fields: JsonObject = {"messages": USER, "max_tokens": 12, "temperature": 0, "seed": 1}
    whole = await subject.ask(CHAT, **fields)
    events = await subject.stream(CHAT, **fields)
    streamed = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    demand(streamed == whole["choices"][0]["message"]["content"], "the same text", [streamed, whole["choices"][0]])


async def completion(subject: Subject) -> None:
    """A text completion has text, a finish reason and usage."""
    answer = await subject.ask(COMPLETION, prompt="One, two, three,", max_tokens=4)
    demand(answer.get("object") == "text_completion", "object text_completion", answer.get("object"))
    (choice,) = answer["choices"]
    demand(isinstance(choice.get("text"), str), "a text", choice)
    demand(choice.get("finish_reason") in FINISH_REASONS, "a finish reason", choice)
    demand_usage(answer)


async def completion_stream(subject: Subject) -> None:
    """A text completion's stream has one id and the object of a text completion throughout, usage included."""
    events = await subject.stream(
        COMPLETION, prompt="One, two, three,", max_tokens=4, stream_options={"include_usage": True}
    )
    demand({event.get("object") for event in events} == {"text_completion"}, "object text_completion", events)
    demand(len({event.get("id") for event in events}) == 1, "one id on all chunks", [each.get("id") for each in events])
    demand(events[-1]["choices"] == [], "a last chunk without choices", events[-1])
    demand_usage(events[-1])


async def completion_defaults_to_16_tokens(subject: Subject) -> None:
    """A text completion without max_tokens stops after 16 tokens, as OpenAI's does."""
    answer = await subject.ask(COMPLETION, prompt="Once upon a time")
    demand(answer["usage"]["completion_tokens"] <= 16, "at most 16 tokens", answer["usage"])


async def several_prompts(subject: Subject) -> None:
    """A list of prompts gives a choice for each, and one usage for all."""
    answer = await subject.ask(COMPLETION, prompt=["One, two,", "Red, green,"], max_tokens=3)
    demand(sorted(choice["index"] for choice in answer["choices"]) == [0, 1], "two choices", answer)
    demand_usage(answer)
    events = await subject.stream(
        COMPLETION, prompt=["One, two,", "Red, green,"], max_tokens=3, stream_options={"include_usage": True}
    )
    usages = [event["usage"] for event in events if event.get("usage")]
    demand(len(usages) == 1, "one usage in the stream", usages)
    demand(usages[0]["prompt_tokens"] == answer["usage"]["prompt_tokens"], "the usage of both prompts", usages)


async def max_tokens(subject: Subject) -> None:
    """Both names of the limit are kept to, and both at once are accepted."""
    for limits in ({"max_tokens": 3}, {"max_completion_tokens": 3}, {"max_tokens": 3, "max_completion_tokens": 3}):
        answer = await subject.chat("Tell me a long story.", **limits)
        demand(answer["usage"]["completion_tokens"] <= 3, f"at most 3 tokens with {limits}", answer["usage"])


async def stop(subject: Subject) -> None:
    """Generation ends before a stop sequence, which is not part of the answer."""
    fields: JsonObject = {"max_tokens": 24, "temperature": 0, "seed": 1}
    text = (await subject.chat("Count from one to ten in words.", **fields))["choices"][0]["message"]["content"]
    words = text.split()
    if len(words) < 3:
        raise Deviation("an answer of several words, to stop one of them", text)
    answer = await subject.chat("Count from one to ten in words.", **fields, stop=[words[2]])
    (choice,) = answer["choices"]
    demand(words[2] not in choice["message"]["content"], f"a text without {words[2]!r}", choice)
    demand(choice["finish_reason"] == "stop", "finish reason stop", choice)


async def unknown_fields(subject: Subject) -> None:
    """What newer clients send and no model can use is passed over."""
    await subject.chat(
        "Hi",
        max_tokens=2,
        metadata={"a": "b"},
        store=False,
        service_tier="auto",
        prompt_cache_key="k",
        safety_identifier="s",
        verbosity="low",
        modalities=["text"],
        user="u",
    )


async def bad_field(subject: Subject) -> None:
    """A field of the wrong type is answered 400 with OpenAI's error envelope."""
    reply = await subject.post(CHAT, {"messages": USER, "temperature": "hot"})
    demand(reply.status == 400, "status 400", f"{reply.status} {reply.body.decode(errors='replace')}")
    demand_envelope(reply.document)


async def bad_json(subject: Subject) -> None:
    """A body that is no JSON is answered 400 with OpenAI's error envelope."""
    reply = await subject.post(CHAT, b"{bad")
    demand(reply.status == 400, "status 400", f"{reply.status} {reply.body.decode(errors='replace')}")
    demand_envelope(reply.document)


async def too_long(subject: Subject) -> None:
    """A prompt that is longer than the context is answered 400 with a message."""
    reply = await subject.post(COMPLETION, {"prompt": "word " * 400_000, "max_tokens": 1})
    demand(reply.status == 400, "status 400", f"{reply.status} {reply.body.decode(errors='replace')}")
    demand_envelope(reply.document)


async def unknown_path(subject: Subject) -> None:
    """A path that is not there is answered 404, in JSON."""
    reply = await subject.post("/v1/no/such/path", {})
    demand(reply.status == 404, "status 404", f"{reply.status} {reply.body.decode(errors='replace')}")


def demand_envelope(document: JsonObject) -> None:
    error = document.get("error")
    if not isinstance(error, dict):
        raise Deviation("an object in `error`", document)
    demand(isinstance(error.get("message"), str) and error["message"], "a message", document)
    demand(isinstance(error.get("type"), str), "a type", document)
