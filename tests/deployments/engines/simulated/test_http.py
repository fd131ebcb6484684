"""The simulated engine as its clients see it: a real process, real sockets."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import orjson
import pytest

from configs.engine import SimulatedSettings
from deployments.engines.runtime import EngineRuntime

StartEngine = Callable[..., Awaitable[EngineRuntime]]
Connect = Callable[[EngineRuntime], Awaitable[aiohttp.ClientSession]]
ReachesLoad = Callable[[EngineRuntime, int, int], Awaitable[None]]
Json = dict[str, object]

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def runtime(start_engine: StartEngine, simulated_settings: SimulatedSettings) -> EngineRuntime:
    return await start_engine(simulated_settings.model_copy(update={"max_model_len": 1000}))


@pytest.fixture
async def session(runtime: EngineRuntime, connect: Connect) -> aiohttp.ClientSession:
    return await connect(runtime)


async def post(session: aiohttp.ClientSession, path: str, body: Json) -> tuple[int, dict]:
    async with session.post(path, json=body) as response:
        return response.status, orjson.loads(await response.read())


async def chat(session: aiohttp.ClientSession, **fields: object) -> dict:
    status, answer = await post(session, "/v1/chat/completions", {"model": "sim", "messages": HELLO, **fields})
    assert 200 == status, answer
    return answer


async def stream(
    session: aiohttp.ClientSession, path: str = "/v1/chat/completions", **fields: object
) -> list[dict | str]:
    """The events of a streamed answer, parsed; `[DONE]` as it is."""
    body = {
        "model": "sim",
        "stream": True,
        **({"messages": HELLO} if "chat" in path else {"prompt": "hello"}),
        **fields,
    }
    async with session.post(path, json=body) as response:
        assert "text/event-stream; charset=utf-8" == response.headers["content-type"]
        text = (await response.read()).decode()
    assert text.endswith("\n\n")
    events = [event.removeprefix("data: ") for event in text.removesuffix("\n\n").split("\n\n")]
    return [event if event == "[DONE]" else orjson.loads(event) for event in events]


def contents(events: list[dict | str], choice: int = 0) -> list[str]:
    """The texts of one choice's events, the role's empty one left out."""
    found = [c for event in events if isinstance(event, dict) for c in event["choices"] if c["index"] == choice]
    return [c["delta"]["content"] if "delta" in c else c["text"] for c in found if "role" not in c.get("delta", {})]


async def test_a_chat_answer_is_shaped_as_vllms(session: aiohttp.ClientSession) -> None:
    """A chat that is not streamed has OpenAI's fields, with usage and cached tokens."""
    answer = await chat(session, max_tokens=2)
    text = answer["choices"][0]["message"]["content"]

    assert {
        "id": answer["id"],
        "object": "chat.completion",
        "created": answer["created"],
        "model": "sim",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "tool_calls": []},
                "logprobs": None,
                "finish_reason": "length",
                "stop_reason": None,
            }
        ],
        "usage": {
            "prompt_tokens": 8,
            "total_tokens": 10,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    } == answer


async def test_without_max_tokens_a_chat_stops_after_64(session: aiohttp.ClientSession) -> None:
    """A chat of unbounded length ends as if the model had finished."""
    answer = await chat(session)

    assert (64, "stop") == (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"])


async def test_without_max_tokens_a_completion_has_16(session: aiohttp.ClientSession) -> None:
    """A plain completion of unbounded length has OpenAI's default."""
    _, answer = await post(session, "/v1/completions", {"model": "sim", "prompt": "hello"})

    assert (16, "length") == (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"])


async def test_a_stream_has_one_event_a_token(session: aiohttp.ClientSession) -> None:
    """A role first, then an event a token, the finish reason with the last, then the end mark."""
    events = await stream(session, max_tokens=200)
    reasons = [event["choices"][0]["finish_reason"] for event in events[:-1]]

    assert (200, [None] * 200 + ["length"], "[DONE]") == (len(contents(events)), reasons, events[-1])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("inter_token_ms", [0, 0.3, 4])
async def test_a_stream_says_what_the_whole_answer_says(
    session: aiohttp.ClientSession, path: str, inter_token_ms: float
) -> None:
    """At any pace, several choices with stop strings stream to the same texts that come unstreamed."""
    fields: Json = {
        "n": 3,
        "max_tokens": 30,
        "stop": [" map", "us lo"],
        "simulated": {"inter_token_ms": inter_token_ms},
    }
    events = await stream(session, path, **fields)
    prompt: Json = {"messages": HELLO} if "chat" in path else {"prompt": "hello"}
    _, answer = await post(session, path, {"model": "sim", **prompt, **fields})
    texts = [c["message"]["content"] if "message" in c else c["text"] for c in answer["choices"]]

    assert texts == ["".join(contents(events, choice)) for choice in range(3)]


async def test_usage_comes_last_when_asked_for(session: aiohttp.ClientSession) -> None:
    """`include_usage` adds one event without choices before the end mark."""
    events = await stream(session, max_tokens=3, stream_options={"include_usage": True})

    assert ([], 3, "[DONE]") == (events[-2]["choices"], events[-2]["usage"]["completion_tokens"], events[-1])


async def test_a_stop_string_ends_the_answer_before_it(session: aiohttp.ClientSession) -> None:
    """The text ends where the stop string would begin, with reason `stop`, and it says which string that was."""
    whole = (await chat(session, max_tokens=40))["choices"][0]["message"]["content"]
    stopped = (await chat(session, max_tokens=40, stop=whole[30:36]))["choices"][0]

    assert (whole[: whole.index(whole[30:36])], "stop", whole[30:36]) == (
        stopped["message"]["content"], stopped["finish_reason"], stopped["stop_reason"],
    )  # fmt: skip


async def test_several_prompts_give_choices_for_each(session: aiohttp.ClientSession) -> None:
    """A list of prompts with n gives n choices for each prompt, numbered through."""
    body: Json = {"model": "sim", "prompt": [[1, 2, 3], [4]], "n": 2, "max_tokens": 4}
    _, answer = await post(session, "/v1/completions", body)

    assert ([0, 1, 2, 3], 3 + 1) == ([c["index"] for c in answer["choices"]], answer["usage"]["prompt_tokens"])


async def test_equal_seeds_give_equal_answers(session: aiohttp.ClientSession) -> None:
    """The same prompt and seed give the same text; another seed does not."""
    texts = [(await chat(session, seed=seed))["choices"][0]["message"]["content"] for seed in (1, 1, 2)]

    assert (True, False) == (texts[0] == texts[1], texts[1] == texts[2])


async def test_a_longer_conversation_finds_the_shorter_one_cached(session: aiohttp.ClientSession) -> None:
    """Whole blocks of the first prompt are cached tokens of the second."""
    first = [{"role": "user", "content": "x" * 400}]
    second = [*first, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "go on"}]
    await chat(session, messages=first)
    answer = await chat(session, messages=second)

    assert {"cached_tokens": 96} == answer["usage"]["prompt_tokens_details"]


async def test_tokenize_counts_as_usage_does(session: aiohttp.ClientSession) -> None:
    """The token count of a conversation is its usage's prompt tokens."""
    _, answer = await post(session, "/tokenize", {"model": "sim", "messages": HELLO})
    usage = (await chat(session))["usage"]

    assert (usage["prompt_tokens"], 1000, usage["prompt_tokens"]) == (
        answer["count"],
        answer["max_model_len"],
        len(answer["tokens"]),
    )


async def test_the_model_card_has_the_context(session: aiohttp.ClientSession) -> None:
    """`/v1/models` lists the one model with its context length."""
    async with session.get("/v1/models") as response:
        cards = (await response.json())["data"]

    assert [("sim", 1000)] == [(card["id"], card["max_model_len"]) for card in cards]


CHAT: Json = {"model": "sim", "messages": HELLO}


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "param", "words"),
    [
        ("/v1/chat/completions", {**CHAT, "model": "gpt"}, 404, "NotFoundError", "model", "`gpt` does not exist"),
        ("/v1/chat/completions", {**CHAT, "max_tokens": 993}, 400, "BadRequestError", "max_tokens", "993 > 1000 - 8"),
        ("/v1/completions", {"prompt": "x" * 4000}, 400, "BadRequestError", "input_tokens", "maximum context length"),
        ("/v1/chat/completions", {**CHAT, "max_tokens": 0}, 400, "BadRequestError", "max_tokens", "at least 1, got 0"),
        ("/v1/chat/completions", {**CHAT, "max_tokens": "9"}, 400, "BadRequestError", "max_tokens", "an integer"),
        ("/v1/chat/completions", {**CHAT, "n": True}, 400, "BadRequestError", "n", "an integer"),
        ("/v1/chat/completions", {**CHAT, "temperature": -1}, 400, "BadRequestError", "temperature", "non-negative"),
        ("/v1/chat/completions", {**CHAT, "top_p": 0}, 400, "BadRequestError", "top_p", "(0, 1]"),
        ("/v1/chat/completions", {**CHAT, "stream": "yes"}, 400, "BadRequestError", "stream", "true or false"),
        ("/v1/chat/completions", {**CHAT, "stream_options": {}}, 400, "BadRequestError", "stream_options", "stream"),
        ("/v1/chat/completions", {**CHAT, "stop": [1]}, 400, "BadRequestError", "stop", "non-empty string"),
        ("/v1/chat/completions", {"messages": []}, 400, "BadRequestError", "messages", "non-empty list"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400,
         "BadRequestError", "messages", "multimodal"),
        ("/v1/completions", {"prompt": []}, 400, "BadRequestError", "prompt", "token ids"),
        ("/v1/completions", {"prompt": "a", "simulated": {"stats": 503}}, 400, "BadRequestError", "simulated", "stats"),
        ("/v1/completions", {"prompt": "a", "simulated": {"status": 503}}, 503, "SimulatedError", None, "503"),
        ("/v1/embeddings", {"input": "a"}, 404, "NotFoundError", None, "Not Found"),
        ("/v1/models", {}, 405, "MethodNotAllowedError", None, "Method Not Allowed"),
    ],
)  # fmt: skip
async def test_refusals_are_shaped_as_vllms(  # noqa: PLR0913, PLR0917  a table's columns
    session: aiohttp.ClientSession, path: str, body: Json, status: int, kind: str, param: str | None, words: str
) -> None:
    """Each bad request has its status, type and parameter, and an integer code."""
    actual, answer = await post(session, path, body)
    error = answer["error"]

    assert (status, kind, param, status) == (actual, error["type"], error["param"], error["code"])
    assert words in error["message"]


async def test_a_broken_body_is_a_bad_request(session: aiohttp.ClientSession) -> None:
    """JSON that is cut off is 400, and the connection serves the next request."""
    async with session.post("/v1/completions", data=b'{"model": ') as response:
        status = response.status

    assert (400, 64) == (status, (await chat(session))["usage"]["completion_tokens"])


async def test_only_health_is_open(runtime: EngineRuntime) -> None:
    """Without the secret every path but `/health` is 401, metrics and unknown ones included."""
    paths = ["/health", "/metrics", "/v1/models", "/nothing"]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runtime.address.port}") as stranger:
        statuses = [(await stranger.get(path)).status for path in paths]

    assert [200, 401, 401, 401] == statuses


async def test_pipelined_requests_are_answered_in_turn(runtime: EngineRuntime) -> None:
    """Requests that arrive in one piece are answered one after the other on the same connection."""
    head = f"Host: x\r\nAuthorization: Bearer {runtime.address.secret}\r\n".encode()
    body = b'{"model":"sim","prompt":"a","max_tokens":1}'
    first = b"POST /v1/completions HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    second = b"GET /nothing HTTP/1.1\r\n%bConnection: close\r\n\r\n" % head
    reader, writer = await asyncio.open_connection("127.0.0.1", runtime.address.port)
    writer.write(first + second)
    async with asyncio.timeout(60):
        answer = await reader.read(-1)
    writer.close()

    assert [b"200", b"404"] == [part.split()[0] for part in answer.split(b"HTTP/1.1 ")[1:]]


async def test_a_disconnect_frees_the_place(runtime: EngineRuntime, session: aiohttp.ClientSession) -> None:
    """When its client leaves, a request stops running and the next one starts."""
    response = await session.post(
        "/v1/chat/completions", json={**CHAT, "stream": True, "simulated": {"hang_after_tokens": 2}}
    )
    await response.content.readuntil(b"\n\n")
    num_running = (await runtime.load()).num_running
    response.close()

    assert (1, True) == (num_running, await runtime.drain(timeout_s=60))


async def test_waiting_requests_start_in_order(
    start_engine: StartEngine, connect: Connect, simulated_settings: SimulatedSettings, reaches_load: ReachesLoad
) -> None:
    """With one place, requests are answered in the order of their arrival."""
    runtime = await start_engine(simulated_settings.model_copy(update={"max_num_seqs": 1}))
    session = await connect(runtime)
    order: list[int] = []

    async def ask(number: int) -> None:
        await chat(session, max_tokens=1)
        order.append(number)

    blocker = await session.post(
        "/v1/chat/completions", json={**CHAT, "stream": True, "simulated": {"hang_after_tokens": 0}}
    )
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(ask(number))
            await reaches_load(runtime, 1, number + 1)
        blocker.close()

    assert [0, 1, 2, 3] == order


async def test_a_client_that_does_not_read_holds_its_answer_back(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, connect: Connect
) -> None:
    """A long stream waits for its reader instead of filling the memory, and is whole in the end."""
    runtime = await start_engine(simulated_settings.model_copy(update={"max_model_len": 1_000_000}))
    session = await connect(runtime)
    num_tokens = 200_000
    body = {**CHAT, "stream": True, "simulated": {"num_tokens": num_tokens}}
    async with session.post("/v1/chat/completions", json=body) as response:
        num_generated, previous = 0, -1
        async with asyncio.timeout(60):
            while num_generated != previous:
                await asyncio.sleep(0.2)
                previous, num_generated = num_generated, (await runtime.load()).num_completion_tokens or 0
        text = await response.read()

    assert (True, num_tokens + 1) == (num_generated < num_tokens, text.count(b'"delta"'))


async def test_length_can_be_commanded(session: aiohttp.ClientSession) -> None:
    """`num_tokens` overrides `max_tokens`."""
    assert 7 == (await chat(session, max_tokens=3, simulated={"num_tokens": 7}))["usage"]["completion_tokens"]


@pytest.mark.parametrize("limit", [{}, {"simulated": {"num_tokens": 64}}])
async def test_an_answer_that_was_begun_is_finished(session: aiohttp.ClientSession, limit: Json) -> None:
    """As on vLLM, with the last message continued: the two parts are the whole, and as long as it."""
    whole = (await chat(session, **limit))["choices"][0]["message"]["content"]
    begun = [*HELLO, {"role": "assistant", "content": whole[:40]}]
    rest = await chat(session, messages=begun, continue_final_message=True, add_generation_prompt=False, **limit)

    assert whole == whole[:40] + rest["choices"][0]["message"]["content"]
    assert (18, 54) == (rest["usage"]["prompt_tokens"], rest["usage"]["completion_tokens"])


@pytest.mark.parametrize(
    "fields",
    [
        {"continue_final_message": True},
        {"continue_final_message": True, "add_generation_prompt": False, "messages": [{"role": "user", "content": []}]},
    ],
)
async def test_what_cannot_be_continued_is_refused(session: aiohttp.ClientSession, fields: Json) -> None:
    """With both kinds of prompt at once, or without a text."""
    status, _ = await post(session, "/v1/chat/completions", {"model": "sim", "messages": HELLO, **fields})

    assert 400 == status


async def test_prompts_may_be_read_one_after_another(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, connect: Connect, reaches_load: ReachesLoad
) -> None:
    """The second waits until the first is read, or its client has left; both run meanwhile."""
    runtime = await start_engine(simulated_settings.model_copy(update={"max_prefills": 1}))
    session = await connect(runtime)
    reading = asyncio.create_task(chat(session, simulated={"prefill_base_ms": 600_000}))
    await reaches_load(runtime, 1, 0)
    waiting = asyncio.create_task(chat(session, simulated={"prefill_base_ms": 0, "num_tokens": 3}))
    await reaches_load(runtime, 2, 0)
    assert not waiting.done()
    reading.cancel()
    assert 3 == (await waiting)["usage"]["completion_tokens"]
