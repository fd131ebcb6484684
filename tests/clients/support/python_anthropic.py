"""Anthropic's own library for Python."""

from typing import Any

import anthropic
from asked_house import AskedHouse
from asking import (
    CALLING,
    COUNT,
    HEADERS,
    HELLO,
    LONG,
    LOOK,
    MANY_TOOLS,
    RESULT,
    TOO_LONG,
    Scenario,
    failure,
    report,
)  # fmt: skip

TOOLS: Any = [{"name": "look", "description": "Looks.", "input_schema": LOOK}]


class AnthropicScenarios:
    def __init__(self, client: anthropic.Anthropic, house: AskedHouse) -> None:
        self._client, self._house = client, house
        self._m = house.models["m"]

    def outcomes(self) -> dict[str, object]:
        scenarios: dict[str, Scenario] = {
            "a message": self._message,
            "a bearer": self._bearer,
            "a stream": self._stream,
            "events": self._events,
            "a count of tokens": lambda: self._count() > 0,
            "a count that is exact": lambda: self._count() == _tokens_read(self._ask(max_tokens=1)),
            "a look whether somebody is there": self._head,
            "models": lambda: self._m in [model.id for model in self._client.models.list()],
            "a large request": self._large_request,
            "a limit that no context has": lambda: (
                self._ask(max_tokens=32_000, stop_sequences=[" "], system="You are brief.").stop_reason
            ),
            "a model that is not there": lambda: _seen_of(lambda: self._ask(model="nobody")),
            "a wrong field": lambda: _seen_of(lambda: self._ask(messages=[])),
            "a wrong key": lambda: _seen_of(self._client.with_options(api_key=f"not-{self._house.key}").models.list),
            "a prompt that does not fit": lambda: failure(
                lambda: self._ask(messages=TOO_LONG), _too_long, anthropic.APIStatusError
            ),
            "a client that leaves": self._leave,
        }
        only: dict[str, tuple[str, Scenario]] = {
            "tools": ("a round of tools", self._round_of_tools),
            "toolless": ("tools that are left out", self._tools_left_out),
        }
        return report(scenarios | dict(each for role, each in only.items() if role in self._house.models))

    def _ask(self, **fields: Any) -> Any:
        return self._client.messages.create(**self._asked(**fields))

    def _asked(self, **fields: Any) -> Any:
        """The SDK has no name for a temperature."""
        greedy = {"temperature": 0}
        return {"model": self._m, "max_tokens": 9, "messages": HELLO, "extra_body": greedy, **fields}

    def _read(self, **fields: Any) -> Any:
        with self._client.messages.stream(**self._asked(**fields)) as events:
            return events.get_final_message()

    def _count(self) -> int:
        return self._client.messages.count_tokens(model=self._m, messages=HELLO).input_tokens

    def _message(self) -> object:
        answer = self._ask()
        return {
            "stop": answer.stop_reason, "tokens": answer.usage.output_tokens, "named": bool(answer._request_id),
        }  # fmt: skip

    def _bearer(self) -> object:
        with anthropic.Anthropic(base_url=self._house.router, auth_token=self._house.key, max_retries=0) as client:
            return client.messages.create(**self._asked(max_tokens=1)).role

    def _stream(self) -> object:
        whole, streamed = self._ask(), self._read()
        return {
            "same": _text(whole) == _text(streamed), "stop": streamed.stop_reason,
            "tokens": streamed.usage.output_tokens, "read": _tokens_read(whole) == _tokens_read(streamed),
        }  # fmt: skip

    def _events(self) -> object:
        kinds = [event.type for event in self._ask(stream=True, max_tokens=2)]
        return [kinds[0], kinds[-2], kinds[-1]]

    def _head(self) -> object:
        return self._client._client.head(f"{self._house.router}/").status_code

    def _large_request(self) -> object:
        return self._ask(tools=[{**tool, "input_schema": LOOK} for tool in MANY_TOOLS]).stop_reason

    def _round_of_tools(self) -> object:
        thinking = {"type": "enabled", "budget_tokens": 1024}
        called = self._read(tools=TOOLS, thinking=thinking, messages=CALLING, max_tokens=2048)
        [call] = [block for block in called.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": RESULT}
        said = [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
        answer = self._read(tools=TOOLS, messages=[*CALLING, *said], max_tokens=64)
        return {
            "stop": called.stop_reason, "kinds": [block.type for block in called.content], "input": call.input,
            "answer": _text(answer),
        }  # fmt: skip

    def _tools_left_out(self) -> object:
        raw = self._client.messages.with_raw_response.create(**self._asked(tools=TOOLS))
        kinds = [block.type for block in raw.parse().content]
        return {"ignored": raw.headers.get("x-enginehouse-ignored"), "kinds": kinds}

    def _leave(self) -> object:
        with self._client.messages.stream(**self._asked(messages=COUNT, max_tokens=LONG)) as events:
            next(iter(events.text_stream))
        return "left"


def outcomes(house: AskedHouse) -> dict[str, object]:
    """What each scenario gave."""
    with anthropic.Anthropic(
        base_url=house.router, api_key=house.key, max_retries=0, timeout=120, default_headers=HEADERS
    ) as client:
        return AnthropicScenarios(client, house).outcomes()


def _text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def _tokens_read(message: Any) -> int:
    read: int = message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)
    return read


def _seen(error: Any) -> dict[str, object]:
    return {"kind": type(error).__name__, "status": error.status_code, "type": error.body["error"]["type"]}


def _seen_of(action: Scenario) -> object:
    return failure(action, _seen, anthropic.APIStatusError)


def _too_long(error: anthropic.APIStatusError) -> object:
    return {**_seen(error), "words": "prompt is too long" in str(error)}
