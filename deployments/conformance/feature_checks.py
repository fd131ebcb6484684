"""Checks of what not every engine offers: choices, seeds, probabilities, schemas, tool calls."""

import orjson

from deployments.conformance.subject import CHAT, Deviation, JsonObject, Subject, demand

WEATHER: JsonObject = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
ASK_WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
CITY: JsonObject = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}


async def several_choices(subject: Subject) -> None:
    """`n` choices come with indices of their own."""
    answer = await subject.chat("Name a colour.", n=2, temperature=0.9, max_tokens=4)
    demand(sorted(choice["index"] for choice in answer["choices"]) == [0, 1], "choices 0 and 1", answer)


async def seed(subject: Subject) -> None:
    """The same seed gives the same text."""
    fields: JsonObject = {"temperature": 1.0, "seed": 7, "max_tokens": 8}
    first, second = [await subject.chat("Name three colours.", **fields) for _ in range(2)]
    texts = [answer["choices"][0]["message"]["content"] for answer in (first, second)]
    demand(texts[0] == texts[1], "the same text twice", texts)


async def logprobs(subject: Subject) -> None:
    """Each token comes with its logarithm of probability, its bytes and as many alternatives as were asked for."""
    answer = await subject.chat("Name a colour.", logprobs=True, top_logprobs=2, max_tokens=3)
    content = (answer["choices"][0].get("logprobs") or {}).get("content")
    if not isinstance(content, list) or not content:
        raise Deviation("logprobs with content", answer["choices"][0])
    for entry in content:
        demand(isinstance(entry.get("token"), str), "a token", entry)
        demand(isinstance(entry.get("logprob"), int | float) and entry["logprob"] <= 0, "a logprob up to 0", entry)
        demand(1 <= len(entry.get("top_logprobs") or []) <= 2, "one or two alternatives", entry)


async def schema(subject: Subject) -> None:
    """An answer is held to a JSON schema in OpenAI's form."""
    wrapper = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
    answer = await subject.chat("Which city is the capital of France?", response_format=wrapper, max_tokens=64)
    _demand_city(answer["choices"][0]["message"]["content"])


def _demand_city(text: str) -> None:
    try:
        document = orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        raise Deviation("JSON that fits the schema", str(text)) from None
    fits = isinstance(document, dict) and list(document) == ["city"] and document["city"] in ("Paris", "Rome")
    demand(fits, "JSON that fits the schema", document)


async def forced_tool(subject: Subject) -> None:
    """`tool_choice: required` gives a call with an id, a name, arguments that fit, and its finish reason."""
    answer = await subject.ask(CHAT, messages=ASK_WEATHER, tools=[WEATHER], tool_choice="required", max_tokens=64)
    (choice,) = answer["choices"]
    calls = choice["message"].get("tool_calls") or []
    demand(calls, "a tool call", choice)
    demand(calls[0].get("type") == "function" and calls[0].get("id"), "a call with type and id", calls[0])
    demand(calls[0]["function"].get("name") == "get_weather", "a call of get_weather", calls[0])
    _demand_city(calls[0]["function"].get("arguments"))
    demand(choice.get("finish_reason") == "tool_calls", "finish reason tool_calls", choice)


async def forced_tool_stream(subject: Subject) -> None:
    """A streamed call begins with index, id and name; its arguments, put together, fit."""
    events = await subject.stream(CHAT, messages=ASK_WEATHER, tools=[WEATHER], tool_choice="required", max_tokens=64)
    choices = [choice for event in events for choice in event["choices"]]
    parts = [part for choice in choices for part in choice["delta"].get("tool_calls") or []]
    demand(parts, "deltas with tool calls", choices[:3])
    demand(parts[0].get("index") == 0 and parts[0].get("id"), "index and id in the first delta", parts[0])
    demand(parts[0]["function"].get("name") == "get_weather", "the name in the first delta", parts[0])
    _demand_city("".join(part["function"].get("arguments") or "" for part in parts))
    reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    demand(reasons == ["tool_calls"], "finish reason tool_calls", reasons)


async def named_tool(subject: Subject) -> None:
    """A function that is named in `tool_choice` is the one that is called."""
    other = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
    answer = await subject.ask(
        CHAT,
        messages=ASK_WEATHER,
        tools=[other, WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        max_tokens=64,
    )
    calls = answer["choices"][0]["message"].get("tool_calls") or []
    demand([call["function"]["name"] for call in calls] == ["get_weather"], "one call of get_weather", answer)
    _demand_city(calls[0]["function"]["arguments"])


async def offered_tool(subject: Subject) -> None:
    """Tools that are offered and not demanded are accepted, with parallel calls forbidden and `strict` set."""
    await subject.ask(CHAT, messages=ASK_WEATHER, tools=[WEATHER], parallel_tool_calls=False, max_tokens=16)
