"""OpenAI's own library for Python."""

import json
from typing import Any

import openai
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
    SURE,
    TOO_LONG,
    Scenario,
    either,
    failure,
    report,
    sure,
)  # fmt: skip

TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]


class OpenAIScenarios:
    def __init__(self, client: openai.OpenAI, house: AskedHouse) -> None:
        self._client, self._house = client, house
        self._m = house.models["m"]

    def outcomes(self) -> dict[str, object]:
        models = self._house.models
        scenarios: dict[str, Scenario] = {
            "a chat": self._chat,
            "a stream": self._stream,
            "a stream's usage": self._usage,
            "a completion": self._completion,
            "a completion's stream": self._completion_stream,
            "models": self._models,
            "a large request": self._large_request,
            "responses": self._responses,
            "a response that ends": self._ended_response,
            "a response that is not kept": lambda: _seen_of(
                lambda: self._client.responses.create(model=self._m, input="x", previous_response_id="resp_gone")
            ),
            "a model without sound": lambda: _seen_of(
                lambda: self._client.audio.speech.create(model=self._m, voice="alloy", input="Hello.")
            ),
            "a model that is not there": lambda: _seen_of(lambda: self._ask(model="nobody")),
            "a wrong field": lambda: _seen_of(lambda: self._ask(temperature=9)),
            "a wrong key": lambda: _seen_of(self._stranger().models.list),
            "a suffix": self._suffix,
            "what the model can do": self._card,
            "a call that is demanded": self._demanded_call,
            "a schema": self._schema,
            "a response with a schema": self._response_with_schema,
            "a prompt that does not fit": lambda: failure(
                lambda: self._ask(messages=TOO_LONG), _refused, openai.APIStatusError
            ),
            "a client that leaves": self._leave,
        }
        only: dict[str, tuple[str, Scenario]] = {
            "vectors": ("vectors", self._vectors),
            "tools": ("a round of tools", self._round_of_tools),
            "toolless": ("tools that are left out", self._tools_left_out),
        }
        return report(scenarios | dict(scenario for role, scenario in only.items() if role in models))

    def _ask(self, **fields: Any) -> Any:
        return self._client.chat.completions.create(**{"model": self._m, "messages": HELLO, "temperature": 0, **fields})

    def _read(self, **fields: Any) -> list[Any]:
        return list(self._ask(stream=True, **fields))

    def _respond(self, **fields: Any) -> Any:
        return self._client.responses.create(**{"model": self._m, "input": "Say hello.", "temperature": 0, **fields})

    def _complete(self, **fields: Any) -> Any:
        asked = {"model": self._m, "prompt": "one two", "max_tokens": 3, "temperature": 0}
        return self._client.completions.create(**{**asked, **fields})

    def _stranger(self) -> openai.OpenAI:
        return self._client.with_options(api_key=f"not-{self._house.key}")

    def _chat(self) -> object:
        answer = self._ask(max_tokens=5)
        return {
            "finish": answer.choices[0].finish_reason, "tokens": answer.usage.completion_tokens,
            "named": bool(answer._request_id),
        }  # fmt: skip

    def _stream(self) -> object:
        whole, chunks = self._ask(max_tokens=9), self._read(max_tokens=9)
        return {
            "same": _words(chunks) == whole.choices[0].message.content,
            "finish": chunks[-1].choices[0].finish_reason,
            "usages": len([chunk for chunk in chunks if chunk.usage]),
        }

    def _usage(self) -> object:
        chunks = self._read(max_tokens=4, stream_options={"include_usage": True})
        others = len([chunk for chunk in chunks if chunk.usage]) - 1
        return {"tokens": chunks[-1].usage.completion_tokens, "choices": len(chunks[-1].choices), "others": others}

    def _completion(self) -> object:
        choice = self._complete().choices[0]
        return {"text": "string" if isinstance(choice.text, str) else "none", "finish": choice.finish_reason}

    def _completion_stream(self) -> object:
        whole, chunks = self._complete(), list(self._complete(stream=True))
        said = "".join(chunk.choices[0].text or "" for chunk in chunks if chunk.choices)
        return {"same": said == whole.choices[0].text, "finish": chunks[-1].choices[0].finish_reason}

    def _suffix(self) -> object:
        def fill() -> object:
            return {"said": bool(self._complete(prompt="def f(", suffix="): pass").choices[0].text)}

        return either(fill, _refused, openai.APIStatusError)

    def _vectors(self) -> object:
        asked: Any = {"model": self._house.models["vectors"], "input": "one"}
        packed = self._client.embeddings.create(**asked).data[0].embedding
        floats = self._client.embeddings.create(**asked, encoding_format="float").data[0].embedding
        close = all(abs(one - other) < 1e-5 for one, other in zip(packed, floats, strict=True))
        return {"are": len(packed) > 1, "same": close}

    def _models(self) -> object:
        listed = [model.id for model in self._client.models.list()]
        card = self._client.models.retrieve(self._m).to_dict()
        context: Any = card["max_model_len"]
        return {"listed": self._m in listed, "same": context == card["context_length"], "known": context > 0}

    def _card(self) -> object:
        card = self._client.models.retrieve(self._m).to_dict()
        return {
            "capabilities": card["capabilities"], "context": card["context_length"],
            "output": card["max_output_tokens"],
        }  # fmt: skip

    def _round_of_tools(self) -> object:
        choice = self._ask(messages=CALLING, tools=TOOLS).choices[0]
        [call] = choice.message.tool_calls
        result = {"role": "tool", "tool_call_id": call.id, "content": RESULT}
        messages = [*CALLING, choice.message.to_dict(), result]
        return {
            "finish": choice.finish_reason,
            "name": call.function.name,
            "given": json.loads(call.function.arguments),
            "thought": choice.message.to_dict()["reasoning_content"],
            "answer": _words(self._read(messages=messages, tools=TOOLS)),
        }

    def _tools_left_out(self) -> object:
        asked: Any = {"model": self._m, "messages": HELLO, "tools": TOOLS, "max_tokens": 3, "temperature": 0}
        raw = self._client.chat.completions.with_raw_response.create(**asked)
        said = bool(raw.parse().choices[0].message.content)
        return {"ignored": raw.headers.get("x-enginehouse-ignored"), "said": said}

    def _demanded_call(self) -> object:
        def call() -> object:
            message = self._ask(tools=TOOLS, tool_choice="required", max_tokens=200).choices[0].message
            return {"called": [one.function.name for one in message.tool_calls]}

        return either(call, _refused, openai.APIStatusError)

    def _schema(self) -> object:
        wanted = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SURE}}

        def follow() -> object:
            return sure(self._ask(response_format=wanted, max_tokens=60).choices[0].message.content)

        return either(follow, _refused, openai.APIStatusError)

    def _large_request(self) -> object:
        many = [{"type": "function", "function": {**tool, "parameters": LOOK}} for tool in MANY_TOOLS]
        return self._ask(tools=many, max_tokens=3).choices[0].finish_reason

    def _responses(self) -> object:
        chat = self._ask(max_tokens=7).choices[0].message.content
        whole = self._respond(max_output_tokens=7)
        events = list(self._respond(max_output_tokens=7, stream=True))
        said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        return {
            "first": events[0].type, "last": events[-1].type, "status": events[-1].response.status,
            "same": said == whole.output_text == chat,
        }  # fmt: skip

    def _ended_response(self) -> object:
        last = list(self._respond(stream=True))[-1]
        return {"last": last.type, "status": last.response.status}

    def _response_with_schema(self) -> object:
        text = {"format": {"type": "json_schema", "name": "answer", "strict": True, "schema": SURE}}

        def follow() -> object:
            return sure(self._respond(text=text, max_output_tokens=60).output_text)

        return either(follow, _refused, openai.APIStatusError)

    def _leave(self) -> object:
        stream = self._ask(stream=True, messages=COUNT, max_tokens=LONG, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        return "left"


def outcomes(house: AskedHouse) -> dict[str, object]:
    """What each scenario gave."""
    with openai.OpenAI(
        base_url=f"{house.router}/v1", api_key=house.key, max_retries=0, timeout=120, default_headers=HEADERS
    ) as client:
        return OpenAIScenarios(client, house).outcomes()


def _words(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def _seen(error: openai.APIStatusError) -> object:
    return {
        "kind": type(error).__name__, "status": error.status_code, "code": error.code, "named": bool(error.request_id),
    }  # fmt: skip


def _seen_of(action: Scenario) -> object:
    return failure(action, _seen, openai.APIStatusError)


def _refused(error: openai.APIStatusError) -> object:
    return {"status": error.status_code, "code": error.code, "param": error.param}
