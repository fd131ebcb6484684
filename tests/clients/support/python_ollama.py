"""Ollama's own library for Python."""

from typing import Any

import ollama
from asked_house import AskedHouse
from asking import (
    CALLING,
    COUNT,
    HEADERS,
    HELLO,
    LONG,
    LOOK,
    MANY_TOOLS,
    SURE,
    TOO_LONG,
    Scenario,
    either,
    failure,
    report,
    sure,
)  # fmt: skip

TOOLS: Any = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": LOOK}}]
OPTIONS = {"num_predict": 5, "temperature": 0}


class OllamaScenarios:
    def __init__(self, client: ollama.Client, stranger: ollama.Client, house: AskedHouse) -> None:
        self._client, self._stranger, self._house = client, stranger, house
        self._m = house.models["m"]

    def outcomes(self) -> dict[str, object]:
        scenarios: dict[str, Scenario] = {
            "models": lambda: self._m in [model.model for model in self._client.list().models],
            "a model": lambda: isinstance(self._client.show(self._m).capabilities, list),
            "what the model can do": self._card,
            "a chat": self._whole_chat,
            "a stream": self._stream,
            "a completion": self._completion,
            "a prompt as it is": self._raw_prompt,
            "a suffix": self._suffix,
            "a schema": self._schema,
            "a prompt that does not fit": lambda: _status_of(lambda: self._chat(messages=TOO_LONG)),
            "a model that is not there": lambda: _status_of(lambda: self._chat(model="nobody")),
            "a wrong key": lambda: _status_of(lambda: self._stranger.chat(model=self._m, messages=HELLO)),
            "a client that leaves": self._leave,
        }
        only: dict[str, dict[str, Scenario]] = {
            "vectors": {"vectors": self._vectors},
            "tools": {"a call of a tool": self._call, "a large request": self._large_request},
            "toolless": {"tools that are refused": lambda: _status_of(lambda: self._chat(tools=TOOLS))},
        }
        for role, more in only.items():
            scenarios |= more if role in self._house.models else {}
        return report(scenarios)

    def _chat(self, **fields: Any) -> Any:
        return self._client.chat(**{"model": self._m, "messages": HELLO, "options": OPTIONS, **fields})

    def _card(self) -> object:
        shown = self._client.show(self._m)
        info: Any = shown.modelinfo
        architecture = info["general.architecture"]
        [running] = [one.context_length for one in self._client.ps().models if one.model == self._m]
        return {
            "capabilities": sorted(shown.capabilities or []), "architecture": architecture,
            "contexts": [info[f"{architecture}.context_length"], running],
        }  # fmt: skip

    def _whole_chat(self) -> object:
        answer = self._chat()
        return {"done": answer.done, "reason": answer.done_reason, "tokens": answer.eval_count}

    def _stream(self) -> object:
        whole, parts = self._chat(), list(self._chat(model=f"{self._m}:latest", stream=True))
        said = "".join(part.message.content or "" for part in parts)
        return {
            "same": said == whole.message.content, "done": parts[-1].done, "tokens": parts[-1].eval_count,
            "read": parts[-1].prompt_eval_count == whole.prompt_eval_count,
        }  # fmt: skip

    def _completion(self) -> object:
        answer = self._client.generate(model=self._m, prompt="one two", options=OPTIONS)
        return {"said": bool(answer.response), "done": answer.done}

    def _raw_prompt(self) -> object:
        asked: Any = {"model": self._m, "prompt": "one two", "raw": True, "options": OPTIONS}
        whole, parts = self._client.generate(**asked), list(self._client.generate(**asked, stream=True))
        said = "".join(part.response or "" for part in parts)
        return {"same": said == whole.response, "tokens": parts[-1].eval_count}

    def _suffix(self) -> object:
        def fill() -> object:
            answer = self._client.generate(model=self._m, prompt="def f(", suffix="): pass", options=OPTIONS)
            return {"said": bool(answer.response)}

        return either(fill, _status, ollama.ResponseError)

    def _vectors(self) -> object:
        vectors = self._client.embed(model=self._house.models["vectors"], input="one").embeddings
        return [len(vector) > 1 for vector in vectors]

    def _call(self) -> object:
        parts = list(self._chat(messages=CALLING, tools=TOOLS, options={"temperature": 0}, stream=True))
        calls = [call.function for part in parts for call in part.message.tool_calls or []]
        return [{"name": call.name, "given": dict(call.arguments)} for call in calls]

    def _schema(self) -> object:
        def follow() -> object:
            return sure(self._chat(format=SURE, options={"temperature": 0, "num_predict": 60}).message.content)

        return either(follow, _status, ollama.ResponseError)

    def _large_request(self) -> object:
        many = [{"type": "function", "function": {**tool, "parameters": LOOK}} for tool in MANY_TOOLS]
        asked = [{"role": "user", "content": "ANSWER:So be it."}]
        return bool(self._chat(messages=asked, tools=many).message.content)

    def _leave(self) -> object:
        parts = self._chat(messages=COUNT, stream=True, options={"num_predict": LONG, "temperature": 0})
        next(parts)
        parts.close()
        return "left"


def outcomes(house: AskedHouse) -> dict[str, object]:
    """What each scenario gave."""
    headers = {**HEADERS, "authorization": f"Bearer {house.key}"}
    strange = {"authorization": f"Bearer not-{house.key}"}
    with (
        ollama.Client(host=house.router, headers=headers, timeout=120) as client,
        ollama.Client(host=house.router, headers=strange, timeout=120) as stranger,
    ):
        return OllamaScenarios(client, stranger, house).outcomes()


def _status(error: ollama.ResponseError) -> object:
    return error.status_code


def _status_of(action: Scenario) -> object:
    return failure(action, _status, ollama.ResponseError)
