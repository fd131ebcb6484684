"""What editors stumble over, for each wire API that they speak. docs/reference/editors.md lists all of it."""

import asyncio
from dataclasses import dataclass

import orjson
import pytest
from door import Door, OpenDoor
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import (
    CALL_STREAM,
    DONE,
    HELLO_STREAM,
    STOP,
    STREAM_HEAD,
    TOKENS,
    USAGE_EVENT,
    WHOLE,
    chunk,
    event,
    token,
    whole,
)

from configs.router import ListenerSettings, RequestSettings

LAST_CHUNK = b"0\r\n\r\n"
CHROMIUM_KEEP_ALIVE_S = 300
"""Chromium, of which VS Code is made, keeps an idle connection for so long, longer than Go's, Python's and node's HTTP
clients, in seconds."""


@dataclass(frozen=True)
class Api:
    """One way to ask for a streamed answer. `last` is in its last event; `finish` says why an answer ended."""

    path: str
    body: dict[str, object]
    last: bytes
    finish: bytes
    prompt: str

    def asking(self, text: str) -> dict[str, object]:
        """The same request with another prompt."""
        return {**self.body, self.prompt: [{"role": "user", "content": text}]}


SAID = [{"role": "user", "content": "hi"}]
CHAT = Api(
    "/v1/chat/completions", {"model": "m", "messages": SAID, "stream": True}, b"data: [DONE]",
    b'"finish_reason":"stop"', "messages",
)  # fmt: skip
RESPONSES = Api(
    "/v1/responses", {"model": "m", "input": SAID, "stream": True}, b'"type":"response.completed"',
    b'"status":"completed"', "input",
)  # fmt: skip
MESSAGES = Api(
    "/v1/messages", {"model": "m", "max_tokens": 16, "messages": SAID, "stream": True}, b'"type":"message_stop"',
    b'"stop_reason":"end_turn"', "messages",
)  # fmt: skip
APIS = [CHAT, RESPONSES, MESSAGES]
each_api = pytest.mark.parametrize("api", APIS, ids=["chat", "responses", "messages"])


@each_api
async def test_a_slow_beginning(api: Api, open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """G1, G2: headers and comments go ahead of the engine, and no comment looks like Continue's end of a stream."""
    door = await open_door(RequestSettings(early_headers_s=0.01))
    door.serve_with(engine.replica("r1"))
    begin = asyncio.Event()
    engine.script(begin, HELLO_STREAM)
    with await door.client() as client:
        await client.post(api.body, api.path)
        ahead = await client.until(b": keep-alive\n\n")
        begin.set()
        rest = await client.until(api.last)
    assert ahead.startswith(b"HTTP/1.1 200 ")
    assert b"\n: ping" not in ahead + rest


async def test_usage_beside_words(door: Door, engine: ScriptedEngine) -> None:
    """G3: an engine that counts along does not empty Continue's answer: usage comes last, and alone."""
    counting = [event({**orjson.loads(one[6:]), "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
                for one in (token("Hel"), token("lo"))]  # fmt: skip
    engine.script(STREAM_HEAD, *map(chunk, (*counting, STOP, DONE)), LAST_CHUNK)
    answer = await door.post({**CHAT.body, "stream_options": {"include_usage": True}})
    documents = [orjson.loads(line[6:]) for line in answer.body.splitlines() if line.startswith(b"data: {")]
    assert [False, False, False, True] == [bool(document.get("usage")) for document in documents]
    assert [] == documents[-1]["choices"]


@each_api
async def test_a_stream_that_breaks(api: Api, door: Door, engine: ScriptedEngine) -> None:
    """G4: an error's event, no end, and a connection that is cut: the one ending that every client reports."""
    door.serve_with(engine.replica("front", profile="front"))
    engine.script(STREAM_HEAD, chunk(TOKENS), Ending.RESET)
    answer = await door.post(api.body, api.path)
    last = answer.body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
    assert (200, False) == (answer.status, answer.is_whole)
    assert b"error" in last
    assert api.last not in answer.body


@each_api
@pytest.mark.parametrize("status", [429, 503])
async def test_an_engine_that_is_full(status: int, api: Api, door: Door, engine: ScriptedEngine) -> None:
    """G5: overload is 503, whatever the engine calls it: Codex gives up at a 429."""
    engine.otherwise = [whole({"error": {"message": "busy"}}, status)]
    assert 503 == (await door.post(api.body, api.path)).status


@each_api
@pytest.mark.parametrize("wrong", [{"model": 1}, {"stream": "yes"}, {"temperature": "warm"}, {"tools": "all"}])
async def test_a_wrong_field(wrong: dict[str, object], api: Api, door: Door) -> None:
    """G5: 400, never 422, which Copilot shows as a content filter's verdict."""
    assert 400 == (await door.post({**api.body, **wrong}, api.path)).status


@pytest.mark.parametrize("path", ["/health", "/"])
async def test_paths_that_probes_ask(path: str, open_door: OpenDoor) -> None:
    """G7: no key is needed where the extension of Hugging Face and Claude Code send none."""
    door = await open_door(keys=["k1"])
    assert 200 == (await door.ask("GET", path)).status


NEW_TOOLS: list[object] = [{"type": "web_search"}, {"type": "namespace", "name": "n", "tools": []}]
OLD_TOOL: dict[str, object] = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
ODD: list[tuple[Api, dict[str, object]]] = [
    (CHAT, {"new_field": {"a": 1}, "store": False, "reasoning_effort": "low", "metadata": {"a": "b"}}),
    (CHAT, {"messages": [{"role": "developer", "content": "Be brief."}, *SAID, {"role": "system", "content": "x"}]}),
    (CHAT, {"tools": [*NEW_TOOLS, OLD_TOOL]}),
    (RESPONSES, {"new_field": 1, "tools": NEW_TOOLS, "include": ["reasoning.encrypted_content"], "store": False}),
    (RESPONSES, {"input": [{"role": "developer", "content": "Be brief."}, *SAID]}),
    (MESSAGES, {"new_field": 1, "context_management": {"edits": []}, "output_config": {"effort": "high"}}),
    (MESSAGES, {"thinking": {"type": "adaptive"}, "messages": [*SAID, {"role": "system", "content": "x"}]}),
    (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
]


@pytest.mark.parametrize(("api", "odd"), ODD)
async def test_what_is_not_known(api: Api, odd: dict[str, object], door: Door, engine: ScriptedEngine) -> None:
    """G12: fields, roles and kinds of tools that are new are no reason to refuse."""
    engine.script(HELLO_STREAM)
    answer = await door.post({**api.body, **odd}, api.path)
    assert (200, True) == (answer.status, api.last in answer.body)
    tools = engine.requests[0].document.get("tools", [])
    assert all(isinstance(tool, dict) and "function" in tool for tool in tools)  # engines refuse the others


@each_api
async def test_half_a_character(api: Api, door: Door, engine: ScriptedEngine) -> None:
    """G12: a text that was cut in the middle of one, as editors cut them, does not end its conversation."""
    engine.script(HELLO_STREAM)
    body = orjson.dumps(api.asking("CUT")).replace(b"CUT", rb"\ud83d\ude00 \ud83d")
    answer = await door.post(body, api.path)
    assert (200, True) == (answer.status, api.last in answer.body)
    assert "\U0001f600 \ufffd" in orjson.dumps(engine.requests[0].document).decode()


@each_api
async def test_a_long_conversation(api: Api, door: Door, engine: ScriptedEngine) -> None:
    """G14: several megabytes reach the engine."""
    engine.script(HELLO_STREAM)
    text = "x" * 5_000_000
    answer = await door.post(api.asking(text), api.path)
    assert 200 == answer.status
    assert text.encode() in engine.requests[0].body


@each_api
async def test_an_answer_is_never_packed(api: Api, door: Door, engine: ScriptedEngine) -> None:
    """G14: each event reaches the client before the next one is made, though it would unpack anything."""
    more = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(token("first")), more, chunk(STOP + USAGE_EVENT + DONE), LAST_CHUNK)
    with await door.client() as client:
        await client.post(api.body, api.path, {"accept-encoding": "gzip, deflate, br, zstd"})
        head = await client.until(b"first")
        more.set()
        await client.until(api.last)
    assert b"content-encoding" not in head.lower()


async def test_a_connection_is_used_again(door: Door, engine: ScriptedEngine) -> None:
    """G15: after a stream of any API, and for longer than any client keeps an idle one."""
    engine.otherwise = [HELLO_STREAM]
    with await door.client() as client:
        for api in (*APIS, *APIS):
            await client.post(api.body, api.path)
            assert (await client.answer()).is_whole
        [connection] = door.connections
        await eventually(lambda: connection.timeout_keep_alive_task is not None)
        assert connection.timeout_keep_alive_task is not None
        idle_s = connection.timeout_keep_alive_task.when() - door.state.loop.time()
    assert idle_s > CHROMIUM_KEEP_ALIVE_S


async def test_an_idle_connection_is_closed_when_its_time_is_over(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """G15: what the setting says is what happens; the next request would find a closed connection."""
    door = await open_door(listener=ListenerSettings(keep_alive_s=1))
    door.serve_with(engine.replica("r1"))
    engine.otherwise = [WHOLE]
    with await door.client() as client:
        await client.post({"model": "m", "messages": SAID})
        assert 200 == (await client.answer()).status
        assert b"" == await client.ended()


@each_api
async def test_the_reason_of_the_end(api: Api, door: Door, engine: ScriptedEngine) -> None:
    """G16: it is always there: tools are not called without, and Tabby's client crashes."""
    engine.script(HELLO_STREAM)
    assert api.finish in (await door.post(api.body, api.path)).body


@pytest.mark.parametrize(
    ("api", "finish"),
    [(CHAT, b'"finish_reason":"tool_calls"'), (MESSAGES, b'"stop_reason":"tool_use"'),
     (RESPONSES, b'"type":"function_call"')],
)  # fmt: skip
async def test_the_end_of_a_call(api: Api, finish: bytes, door: Door, engine: ScriptedEngine) -> None:
    """G16: an answer that calls a tool says so."""
    engine.script(CALL_STREAM)
    assert finish in (await door.post(api.body, api.path)).body


COMPLETION = Api("/v1/completions", {"model": "m", "prompt": "hi", "stream": True}, b"[DONE]", b"", "prompt")
INFILLING = Api("/v1/completions", {"model": "m", "prompt": "a", "suffix": "b"}, b"", b"", "prompt")
LEAVERS = pytest.mark.parametrize(
    "api", [*APIS, COMPLETION, INFILLING], ids=["chat", "responses", "messages", "completion", "fim"]
)


@LEAVERS
async def test_leaving_before_the_answer(api: Api, door: Door, engine: ScriptedEngine) -> None:
    """G17: who takes a completion back with the next key frees the engine at once."""
    engine.script(asyncio.Event())
    client = await door.client()
    await client.post(api.body, api.path)
    await eventually(lambda: engine.requests)
    client.leave()
    await eventually(lambda: engine.num_open == 0)
    assert 0 == door.num_running


@pytest.mark.parametrize("api", [*APIS, COMPLETION], ids=["chat", "responses", "messages", "completion"])
async def test_leaving_in_a_stream(api: Api, door: Door, engine: ScriptedEngine) -> None:
    """G17: who presses Stop frees the engine, although it sends nothing at that moment."""
    words = event({"choices": [{"index": 0, "text": "Hel", "finish_reason": None}]}) if api is COMPLETION else TOKENS
    engine.script(STREAM_HEAD, chunk(words), asyncio.Event())
    client = await door.client()
    await client.post(api.body, api.path)
    await client.until(b"Hel")
    client.leave(with_reset=True)
    await eventually(lambda: engine.num_open == 0)
    assert 0 == door.num_running
