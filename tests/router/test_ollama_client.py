"""What Ollama's own client makes of the router's answers: parts, tool calls, vectors, and every error."""

import asyncio
from collections.abc import AsyncIterator

import ollama
import pytest
from broken_streams import UNFINISHED
from door import APPLICATION, Door, OpenDoor
from scripted_engine import ScriptedEngine, Step
from simulated_engines import SimulatedEngine
from wire import CALL_STREAM, DONE, HELLO_STREAM, TOKENS, USAGE_EVENT, WHOLE, event, stream, whole

from configs.router import RequestSettings
from router.metrics import PROMPT_TOKENS, REQUESTS
from router.replicas.registry import Replica
from router.replicas.statement import Statement

SAID = [{"role": "user", "content": "hi"}]
LOOK = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}
EMBEDDED: dict[str, object] = {
    "object": "list",
    "model": "m",
    "data": [
        {"object": "embedding", "index": 1, "embedding": [0.25, 1.0]},
        {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]},
    ],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)


def client_of(door: Door, key: str | None = None) -> ollama.AsyncClient:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return ollama.AsyncClient(host=f"http://127.0.0.1:{door.port}", headers=headers, timeout=60)


@pytest.fixture
async def client(door: Door) -> AsyncIterator[ollama.AsyncClient]:
    async with client_of(door) as opened:
        yield opened


def replica_that_says(engine: ScriptedEngine, statement: Statement, **fields: object) -> Replica:
    """The engine as one that has told what its model can do."""
    replica = engine.replica("said", max_model_len=4096)
    replica.statement = statement
    for name, value in fields.items():
        setattr(replica, name, value)
    return replica


# answers


async def test_a_whole_chat(client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """With its counts; the engine is asked for a chat completion within the client's limits."""
    engine.script(WHOLE)
    options = {"temperature": 0.5, "num_predict": 7, "stop": ["x"], "seed": 3, "top_k": 5, "num_ctx": 99}
    answer = await client.chat(model="m", messages=SAID, options=options, keep_alive="5m")
    assert ("assistant", "hello") == (answer.message.role, answer.message.content)
    assert (True, "stop", 3, 2) == (answer.done, answer.done_reason, answer.prompt_eval_count, answer.eval_count)
    assert (answer.total_duration or 0) > 0
    assert "/v1/chat/completions" == engine.requests[0].path
    assert {
        "model": "m", "messages": SAID, "stream": False,
        "temperature": 0.5, "max_tokens": 7, "stop": ["x"], "seed": 3, "top_k": 5,
    } == engine.requests[0].document  # fmt: skip


async def test_a_stream(client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """A part for each token, and a last one with the counts."""
    engine.script(HELLO_STREAM)
    parts = [part async for part in await client.chat(model="m", messages=SAID, stream=True)]
    assert ["Hel", "lo", ""] == [part.message.content for part in parts]
    assert [False, False, True] == [part.done for part in parts]
    assert ("stop", 3, 2) == (parts[-1].done_reason, parts[-1].prompt_eval_count, parts[-1].eval_count)


def probable(token: str, logprob: float, *others: str) -> dict[str, object]:
    """As llama.cpp and vLLM say it, the token itself first among the others."""
    said = {"id": 5, "token": token, "logprob": logprob, "bytes": [*token.encode()]}
    less = [{"token": other, "logprob": logprob - 1 - place, "bytes": None} for place, other in enumerate(others)]
    return {**said, "top_logprobs": [said, *less]}


def with_logprobs(text: str, *tokens: dict[str, object]) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": {"content": tokens}, "finish_reason": None}
    return event({"id": "c", "choices": [choice]})


async def test_logprobs_of_a_stream(client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """Each comes with its token, or with the next words where its own had none."""
    said = [
        with_logprobs("Hel", probable("Hel", -0.5, "a", "b")), with_logprobs("", probable("l", -1)),
        with_logprobs("lo", probable("o", -2)), with_logprobs("", probable("", -3)),
    ]  # fmt: skip
    engine.script(stream(*said, USAGE_EVENT, DONE))
    chat = await client.chat(model="m", messages=SAID, stream=True, logprobs=True, top_logprobs=2)
    parts = [part async for part in chat]
    assert [["Hel"], ["l", "o"], [""]] == [[each.token for each in part.logprobs or ()] for part in parts]
    first = (parts[0].logprobs or [])[0]
    assert (-0.5, ["Hel", "a"]) == (first.logprob, [other.token for other in first.top_logprobs or ()])
    asked = engine.requests[0].document
    assert (True, 2) == (asked["logprobs"], asked["top_logprobs"])


async def test_logprobs_of_a_whole_answer(client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """None of the others, which llama.cpp tells unasked; and nothing at all where nothing is asked."""
    choice = {
        "index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop",
        "logprobs": {"content": [probable("hello", -0.5, "a")]},
    }  # fmt: skip
    engine.otherwise = [whole({"id": "c", "choices": [choice]})]
    answer = await client.chat(model="m", messages=SAID, logprobs=True)
    [token] = answer.logprobs or ()
    assert ("hello", -0.5, None) == (token.token, token.logprob, token.top_logprobs)
    assert (await client.chat(model="m", messages=SAID)).logprobs is None


async def test_logprobs_of_a_raw_prompt(client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """Are a text completion's, which have a form of their own."""
    given = {
        "tokens": ["a", "b"], "token_logprobs": [-1.0, -2.0], "text_offset": [0, 1],
        "top_logprobs": [{"a": -1.0, "c": -3.0}, {"b": -2.0, "d": -0.5}],
    }  # fmt: skip
    choice = {"index": 0, "text": "ab", "logprobs": given, "finish_reason": "stop"}
    engine.script(whole({"id": "c", "choices": [choice]}))
    answer = await client.generate(model="m", prompt="x", raw=True, logprobs=True, top_logprobs=1)
    told = [
        (each.token, each.logprob, [one.token for one in each.top_logprobs or ()]) for each in answer.logprobs or ()
    ]
    assert [("a", -1.0, ["a"]), ("b", -2.0, ["d"])] == told
    assert 1 == engine.requests[0].document["logprobs"]


async def test_thinking_and_a_tool(client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """Each in a part of its own; a call comes once, whole, and with arguments that are an object."""
    engine.script(CALL_STREAM)
    stream_of = await client.chat(model="m", messages=SAID, tools=[LOOK], stream=True, think=True)
    messages = [part.message async for part in stream_of]
    assert ["hm"] == [message.thinking for message in messages if message.thinking]
    assert ["I look."] == [message.content for message in messages if message.content]
    calls = [call.function for message in messages for call in message.tool_calls or ()]
    assert [("look", {"at": "it"})] == [(call.name, call.arguments) for call in calls]
    asked = engine.requests[0].document
    assert ([LOOK], {"enable_thinking": True}) == (asked["tools"], asked["chat_template_kwargs"])


async def test_a_round_of_tools(client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """What the client got is what it may send back, with the result."""
    engine.script(CALL_STREAM)
    engine.script(WHOLE)
    parts = [part async for part in await client.chat(model="m", messages=SAID, tools=[LOOK], stream=True)]
    said = next(part.message for part in parts if part.message.tool_calls)
    result = {"role": "tool", "tool_name": "look", "content": "seen"}
    await client.chat(model="m", messages=[*SAID, said, result], tools=[LOOK])
    _, called, told = engine.requests[1].document["messages"]  # type: ignore[misc]
    [call] = called["tool_calls"]
    assert {"name": "look", "arguments": '{"at":"it"}'} == call["function"]
    assert ("tool", call["id"], "seen") == (told["role"], told["tool_call_id"], told["content"])


async def test_a_generation(client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """Is a chat of one message, its answer in `response`."""
    engine.script(WHOLE)
    answer = await client.generate(model="m", prompt="hi", system="Be brief.", images=[PNG])
    assert ("hello", "stop") == (answer.response, answer.done_reason)
    system, user = engine.requests[0].document["messages"]  # type: ignore[misc]
    assert {"role": "system", "content": "Be brief."} == system
    assert ["text", "image_url"] == [part["type"] for part in user["content"]]
    assert user["content"][1]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


@pytest.mark.parametrize("fields", [{"suffix": "\n"}, {"raw": True}], ids=str)
async def test_text_completions(fields: dict[str, object], client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """A `suffix`, and a prompt that is `raw`, go to the engine as they are; the stream is read as it has it."""
    text = {"id": "cmpl-1", "model": "m", "choices": [{"index": 0, "text": "body", "finish_reason": None}]}
    last = {**text, "choices": [{"index": 0, "text": "", "finish_reason": "length"}]}
    engine.script(stream(event(text), event(last), USAGE_EVENT, DONE))
    parts = [part async for part in await client.generate(model="m", prompt="def f(", stream=True, **fields)]  # type: ignore[call-overload]
    assert (["body", ""], "length") == ([part.response for part in parts], parts[-1].done_reason)
    asked = engine.requests[0]
    assert ("/v1/completions", "def f(", fields.get("suffix")) == (
        asked.path, asked.document["prompt"], asked.document.get("suffix"),
    )  # fmt: skip


async def test_vectors(door: Door, client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """In the order of the texts, whatever order the engine has."""
    door.serve_with(engine.replica("e1", task="embed"))
    engine.otherwise = [whole(EMBEDDED)]
    answer = await client.embed(model="m:latest", input=["a", "b"])
    assert [[0.5, -0.25], [0.25, 1.0]] == [list(vector) for vector in answer.embeddings]
    assert ("m:latest", 3) == (answer.model, answer.prompt_eval_count)
    assert [0.5, -0.25] == list((await client.embeddings(model="m", prompt="a")).embedding)
    assert [["a", "b"], "a"] == [request.document["input"] for request in engine.requests]
    assert [] == list((await client.embed(model="m", input=[])).embeddings)


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ("json", {"type": "json_object"}),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}},
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "answer", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
                },
            },
        ),
    ],
    ids=["json", "a schema"],
)  # fmt: skip
async def test_formats(
    wanted: object, sent: dict[str, object], client: ollama.AsyncClient, engine: ScriptedEngine
) -> None:
    """Become what OpenAI calls a response format."""
    engine.script(WHOLE)
    await client.chat(model="m", messages=SAID, format=wanted)  # type: ignore[call-overload]
    assert sent == engine.requests[0].document["response_format"]


async def test_the_simulated_engine(door: Door) -> None:
    """Says the same as a chat, as a stream, and as the answer to the same prompt."""
    simulated = await SimulatedEngine.start()
    door.serve_with(simulated.replica("s1"))
    async with client_of(door) as client:
        options = {"num_predict": 5, "temperature": 0}
        chat = await client.chat(model="m", messages=SAID, options=options)
        parts = [part async for part in await client.chat(model="m", messages=SAID, options=options, stream=True)]
        generated = await client.generate(model="default", prompt="hi", options=options)
    await simulated.stop()
    assert chat.message.content
    assert chat.message.content == "".join(part.message.content or "" for part in parts) == generated.response
    assert ["length"] * 3 == [one.done_reason for one in (chat, parts[-1], generated)]
    assert [5] * 3 == [one.eval_count for one in (chat, parts[-1], generated)]


# models


async def test_models_by_their_names(door: Door, client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """All that can be asked for is listed, aliases too, and what runs, with its context."""
    said = Statement(architecture="qwen2", size_bytes=5_000_000, num_parameters=1_543_000_000, quantization="Q4_K")
    door.serve_with(replica_that_says(engine, said))
    listed = (await client.list()).models
    assert ["m", "default"] == [model.model for model in listed]
    details = listed[0].details
    assert details is not None
    assert ("qwen2", "1.5B", "Q4_K") == (details.family, details.parameter_size, details.quantization_level)
    running = (await client.ps()).models
    assert [("m", 4096), ("default", 4096)] == [(model.model, model.context_length) for model in running]
    door.serve_with()
    assert ([], ["m", "default"]) == (
        (await client.ps()).models,
        [model.model for model in (await client.list()).models],
    )


async def test_what_a_model_can_do(door: Door, client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """In Ollama's words, with the context under the architecture's name, as clients look for it."""
    said = Statement(chat=True, tools=True, vision=False, fim=True, reasoning=True, architecture="qwen2")
    door.serve_with(replica_that_says(engine, said))
    shown = await client.show("m:latest")
    assert ["completion", "tools", "insert", "thinking"] == shown.capabilities
    assert {"general.architecture": "qwen2", "general.basename": "m", "qwen2.context_length": 4096} == shown.modelinfo
    assert ".Suffix" in (shown.template or "")


async def test_a_model_that_cannot_fill_in(door: Door, client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """Has no place for a suffix in its template, which is how Continue tells."""
    door.serve_with(replica_that_says(engine, Statement(fim=False)))
    shown = await client.show("m")
    assert ".Suffix" not in (shown.template or "")
    assert ["completion"] == shown.capabilities


async def test_loading(door: Door, client: ollama.AsyncClient, engine: ScriptedEngine) -> None:
    """A request without anything to say only wants the model to be there: no engine is asked, a sleeping one woken."""
    assert "load" == (await client.chat(model="m", messages=[])).done_reason
    assert "load" == (await client.generate(model="m", prompt="", keep_alive=-1)).done_reason
    assert {} == door.state.demand.now()
    door.serve_with()
    assert "load" == (await client.generate(model="m")).done_reason
    assert {APPLICATION: 1} == door.state.demand.now()
    assert [] == engine.requests


async def test_unloading(door: Door, client: ollama.AsyncClient) -> None:
    """Does not wake a model that sleeps."""
    door.serve_with()
    unloaded = [await client.generate(model="m", keep_alive=never) for never in (0, "0s")]
    assert ["unload", "unload"] == [answer.done_reason for answer in unloaded]
    assert {} == door.state.demand.now()


# errors


async def test_names_that_are_none(client: ollama.AsyncClient) -> None:
    """Are not found, loads included."""
    for asking in (client.chat(model="no", messages=SAID), client.show("no"), client.generate(model="no")):
        with pytest.raises(ollama.ResponseError, match="does not exist") as raised:
            await asking
        assert 404 == raised.value.status_code


async def test_keys(open_door: OpenDoor) -> None:
    """A wrong key is one to this client too; the version is told to everybody."""
    door = await open_door(keys=["k1"])
    async with client_of(door, "k2") as client:
        for asking in (client.list(), client.chat(model="m", messages=SAID)):
            with pytest.raises(ollama.ResponseError, match="API key") as raised:
                await asking
            assert 401 == raised.value.status_code
    async with client_of(door, "k1") as client:
        assert ["m", "default"] == [model.model for model in (await client.list()).models]
    assert 200 == (await door.ask("GET", "/api/version")).status


@pytest.mark.parametrize(
    ("statement", "fields", "words"),
    [
        (Statement(tools=False), {"tools": [LOOK]}, "does not support tools"),
        (Statement(reasoning=False), {"think": True}, "does not support thinking"),
        (Statement(reasoning=False), {"think": "high"}, "does not support thinking"),
        (Statement(vision=False), {"messages": [{**SAID[0], "images": [PNG]}]}, "sees no images"),
    ],
    ids=["tools", "thinking", "thinking hard", "images"],
)
async def test_what_a_model_cannot(
    *, statement: Statement, fields: dict[str, object], words: str, door: Door, engine: ScriptedEngine
) -> None:
    """Is refused before an engine is asked, as Ollama does."""
    door.serve_with(replica_that_says(engine, statement))
    async with client_of(door) as client:
        with pytest.raises(ollama.ResponseError, match=words) as raised:
            await client.chat(**{"model": "m", "messages": SAID, **fields})  # type: ignore[call-overload]
    assert 400 == raised.value.status_code
    assert [] == engine.requests


@pytest.mark.parametrize(
    "steps",
    [*UNFINISHED.values(), [stream(TOKENS, b"data: {not JSON}\n\n", USAGE_EVENT, DONE)]],
    ids=[*UNFINISHED, "not JSON"],
)
async def test_a_broken_stream_is_an_error(
    steps: list[Step], client: ollama.AsyncClient, door: Door, engine: ScriptedEngine
) -> None:
    """Where streams are not resumed: never a shorter answer, and it counts as what it was."""
    door.set_route(reliability={"resume": {"enabled": False}})
    engine.script(*steps)
    parts = await client.chat(model="m", messages=SAID, stream=True)
    with pytest.raises(ollama.ResponseError):
        [part async for part in parts]
    assert 1 == door.sink.total(REQUESTS, code="engine_failed", route="/api/chat")


async def test_an_engine_that_is_slow_to_begin(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Keeps its client by parts that say nothing more: its stream has no comments."""
    door = await open_door(RequestSettings(early_headers_s=0.01))
    door.serve_with(engine.replica("r1"))
    begin = asyncio.Event()
    engine.script(begin, HELLO_STREAM)
    contents: list[str] = []
    async with client_of(door) as client:
        async for part in await client.chat(model="m", messages=SAID, stream=True):
            begin.set()
            contents.append(part.message.content or "")
    assert ("", "Hello") == (contents[0], "".join(contents))


async def test_models_are_not_the_clients_to_change(client: ollama.AsyncClient) -> None:
    """Pulling, creating, copying and deleting are refused, with the reason."""
    for asking in (client.pull("m"), client.copy("m", "n"), client.delete("m"), client.create("n", from_="m")):
        with pytest.raises(ollama.ResponseError, match="set in its configuration") as raised:
            await asking
        assert 403 == raised.value.status_code


async def test_what_is_not_there(door: Door) -> None:
    """Is said as Ollama says it, a string: clients show that, and go on."""
    answer = await door.ask("GET", "/api/experimental/model-recommendations")
    assert (404, b'{"error":"There is nothing at this path below /api."}') == (answer.status, answer.body)


async def test_what_is_recorded(client: ollama.AsyncClient, door: Door, engine: ScriptedEngine) -> None:
    """The route that the client asked, and the tokens that the engine read, as of any other."""
    engine.script(WHOLE)
    await client.chat(model="m", messages=SAID)
    await client.show("m")
    assert [1, 1] == [
        door.sink.total(REQUESTS, route=route, code="ok", model="m") for route in ("/api/chat", "/api/show")
    ]
    assert 3 == door.sink.total(PROMPT_TOKENS, model="m")
