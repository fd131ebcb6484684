"""`deployments/engines/front/passage.py`: one request to a server behind a front, and what becomes of its answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from scripted_server import Reply, ScriptedServer, chunk, document, stream

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]

COMPLETION = {"model": "m", "prompt": "Hi"}
STREAMED = {**COMPLETION, "stream": True}


async def post(client: aiohttp.ClientSession, body: Any = COMPLETION) -> tuple[int, dict[str, Any]]:
    async with client.post("/v1/completions", json=body) as response:
        return response.status, await response.json()


async def events(response: aiohttp.ClientResponse) -> tuple[list[Any], bool]:
    """What came of a stream, and whether its connection was cut."""
    text = b""
    is_cut = False
    async with response:
        try:
            async for data in response.content.iter_any():
                text += data
        except aiohttp.ClientPayloadError:
            is_cut = True
    datas = [part.removeprefix("data: ") for part in text.decode().split("\n\n") if part]
    return [data if data == "[DONE]" else json.loads(data) for data in datas], is_cut


# the way there


async def test_the_server_gets_its_own_name_of_the_model(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """The request is the client's but for the model's name; the answer names the model as the client did."""
    server.script.append(document({"model": "theirs", "choices": []}))
    answer = await post(client, {**COMPLETION, "unknown": [1]})

    assert [("/v1/completions", {"model": "theirs", "prompt": "Hi", "unknown": [1]})] == server.requests
    assert (200, {"model": "m", "choices": []}) == answer


async def test_our_secret_stays_with_us(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """The key that the router sends to the front does not go on to the server."""
    server.script.append(document({"choices": []}))
    await post(client)

    assert [""] == server.authorizations


@pytest.mark.parametrize("body", [b"{", b"", b"[1]", b'"text"', b'{"a": \xff}'])
async def test_what_is_no_object_is_refused(client: aiohttp.ClientSession, server: ScriptedServer, body: bytes) -> None:
    """A body that is not a JSON object is 400, and the server is not asked."""
    async with client.post("/v1/completions", data=body) as response:
        error = (await response.json())["error"]

    assert (400, "invalid_request_error", []) == (response.status, error["type"], server.requests)


async def test_a_server_that_is_gone_is_503(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """Where nobody listens the answer is 503, which routers take to another replica."""
    await server.stop()
    status, answer = await post(client)

    assert (503, "engine_unavailable") == (status, answer["error"]["code"])


async def test_a_connection_that_was_idle_too_long_is_tried_again(
    client: aiohttp.ClientSession, server: ScriptedServer
) -> None:
    """A server may close an idle connection at the moment it is used: nobody notices."""
    server.script += [document({"choices": []}), Reply(b"", then="close"), document({"choices": [2]})]
    await post(client)

    assert (200, {"choices": [2]}) == await post(client)


async def test_a_request_is_not_sent_twice_on_new_connections(
    client: aiohttp.ClientSession, server: ScriptedServer
) -> None:
    """A server that breaks off a new connection may have begun: it is not made to do the work again."""
    server.script.append(Reply(b"", then="close"))
    status, _ = await post(client)

    assert (503, 1) == (status, len(server.requests))


async def test_a_stream_leaves_its_connection_to_the_next_request(
    client: aiohttp.ClientSession, server: ScriptedServer
) -> None:
    """Behind a whole stream the connection is used again."""
    server.script += [stream(chunk("a"), b"[DONE]"), stream(chunk("b"), b"[DONE]")]
    for _ in range(2):
        await (await client.post("/v1/completions", json=STREAMED)).read()

    assert 1 == server.num_connections


async def test_a_redirect_is_not_followed(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """What was asked of one address is not sent to another."""
    server.script.append(document({}, 307, headers="location: http://127.0.0.1:1/v1/completions\r\n"))
    status, answer = await post(client)

    assert (502, True) == (status, "http://127.0.0.1:1" in answer["error"]["message"])


# whole answers


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "no", "type": "x", "param": "top_p", "code": "y"}}, "no"),
        ({"error": "no"}, "no"),
        ({"object": "error", "message": "no", "type": "x"}, "no"),
        ({"detail": [{"msg": "no"}]}, '[{"msg":"no"}]'),
        (b"no", "no"),
        (b"", "The server answered 422."),
        ([], "The server answered 422."),
    ],
)
async def test_errors_of_every_shape_get_the_envelope(
    client: aiohttp.ClientSession, server: ScriptedServer, body: Any, message: str
) -> None:
    """However a server words its error, the client gets OpenAI's envelope with the same status."""
    server.script.append(document(body, 422))
    status, answer = await post(client)

    assert (422, message, "invalid_request_error") == (status, answer["error"]["message"], answer["error"]["type"])
    assert {"message", "type", "param", "code"} == set(answer["error"])


async def test_when_to_try_again_is_passed_on(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """`Retry-After` of a server that limits its users reaches the router."""
    server.script.append(document({"error": "slow down"}, 429, headers="retry-after: 7\r\n"))
    async with client.post("/v1/completions", json=COMPLETION) as response:
        error = (await response.json())["error"]

    assert (429, "7", "rate_limit_error") == (response.status, response.headers["Retry-After"], error["type"])


@pytest.mark.parametrize("body", [b"<html>", [], b'"text"'])
async def test_an_answer_that_is_no_object_is_502(
    client: aiohttp.ClientSession, server: ScriptedServer, body: Any
) -> None:
    """Success without an answer is a failure."""
    server.script.append(document(body))
    status, answer = await post(client)

    assert (502, "engine_failed") == (status, answer["error"]["code"])


async def test_a_whole_answer_that_breaks_off_is_503(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """Half an answer is none."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
    server.script.append(Reply(head + b'{"choices"', then="close"))

    assert 503 == (await post(client))[0]


# streams


async def test_a_stream_is_passed_on(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """Every event comes with the model's name as asked for, then the end mark, on a connection that is not cut."""
    ended = chunk("b", choices=[{"index": 0, "text": "b", "finish_reason": "stop"}])
    server.script.append(stream(chunk("a"), ended, b"[DONE]"))
    response = await client.post("/v1/completions", json=STREAMED)
    (*found, last), is_cut = await events(response)

    assert ("[DONE]", False) == (last, is_cut)
    assert [("m", "a"), ("m", "b")] == [(event["model"], event["choices"][0]["text"]) for event in found]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(stream(chunk("a")), "without saying that it was done", id="no end mark"),
        pytest.param(stream(chunk("a"), then="close"), "connection was lost", id="cut"),
        pytest.param(stream(chunk("a"), {"error": {"message": "out of memory"}}), "out of memory", id="error"),
        pytest.param(stream(chunk("a"), {"error": "out of memory"}, b"[DONE]"), "out of memory", id="text"),
        pytest.param(
            stream(chunk("a"), {"object": "error", "message": "out of memory"}), "out of memory", id="flat error"
        ),
        pytest.param(stream(chunk("a"), b"{"), "not JSON", id="no JSON"),
        pytest.param(stream(chunk("a"), b"[1]"), "no JSON object", id="no object"),
    ],
)
async def test_a_broken_stream_is_an_error_and_a_cut_connection(
    client: aiohttp.ClientSession, server: ScriptedServer, reply: Reply, reason: str
) -> None:
    """What came before is passed on; then an error event, no end mark, and a connection that ends without an end."""
    server.script.append(reply)
    response = await client.post("/v1/completions", json=STREAMED)
    (first, last), is_cut = await events(response)

    assert ("a", True, True) == (first["choices"][0]["text"], reason in last["error"]["message"], is_cut)


async def test_a_client_that_leaves_a_stream_ends_it(
    client: aiohttp.ClientSession, server: ScriptedServer, eventually: Eventually
) -> None:
    """When the client closes its connection, the front closes the server's."""
    server.script.append(stream(chunk("a"), then="hang"))
    response = await client.post("/v1/completions", json=STREAMED)
    await response.content.readuntil(b"\n\n")
    response.close()

    await eventually(lambda: server.num_lost_clients == 1)


async def test_a_client_that_leaves_before_the_answer_ends_it(
    client: aiohttp.ClientSession, server: ScriptedServer, eventually: Eventually
) -> None:
    """A client need not wait for the first byte to be missed."""
    server.script.append(Reply(b"", then="hang"))
    asking = asyncio.create_task(client.post("/v1/completions", json=COMPLETION))
    await eventually(lambda: bool(server.requests))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    await eventually(lambda: server.num_lost_clients == 1)
