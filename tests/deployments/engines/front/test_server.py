"""`deployments/engines/front/server.py`: who may ask a front, for what, and what it tells of the server behind it."""

import aiohttp
import pytest
from scripted_server import ScriptedServer, chunk, document, stream

from deployments.engines.front.counts import read_load
from deployments.engines.front.server import Front

COMPLETION = {"model": "m", "prompt": "Hi"}


@pytest.mark.parametrize("given", [None, "Bearer wrong", "s3cr3t", "Bearer s3cr3tt", "Bearer \udce9"])
@pytest.mark.parametrize("path", ["/metrics", "/v1/models", "/nowhere"])
async def test_without_the_secret_all_is_401(front: Front, path: str, given: str | None) -> None:
    """Whoever does not know the secret learns nothing, not even which paths there are."""
    headers = {} if given is None else {"Authorization": given}
    async with aiohttp.request("GET", f"http://127.0.0.1:{front.address.port}{path}", headers=headers) as response:
        error = (await response.json())["error"]

    assert (401, "invalid_api_key") == (response.status, error["code"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/responses", 404),
        ("POST", "/api/delete", 404),
        ("GET", "/v1/completions", 405),
        ("POST", "/v1/completions/../../api/pull", 404),
        ("DELETE", "/v1/models", 405),
    ],
)
async def test_other_paths_do_not_reach_the_server(
    client: aiohttp.ClientSession, server: ScriptedServer, method: str, path: str, status: int
) -> None:
    """A path that is not the dialect's is refused in OpenAI's envelope, and the server is not asked."""
    async with client.request(method, path, json=COMPLETION) as response:
        error = (await response.json())["error"]

    assert (status, "not_found", []) == (response.status, error["code"], server.requests)


async def test_health_needs_no_secret(front: Front) -> None:
    """`/health` is 200 for everybody as long as the server answers."""
    async with aiohttp.request("GET", f"http://127.0.0.1:{front.address.port}/health") as response:
        pass

    assert 200 == response.status


async def test_health_tells_of_a_server_that_is_gone(front: Front, server: ScriptedServer) -> None:
    """Where nobody listens, `/health` is 503, and the reason has the address."""
    await server.stop()
    async with aiohttp.request("GET", f"http://127.0.0.1:{front.address.port}/health") as response:
        pass

    assert (503, True) == (response.status, server.url in front.health_failure)


async def test_the_model_has_our_name(front: Front, client: aiohttp.ClientSession) -> None:
    """The list of models has the one, under our name, with the context that the server told."""
    await front.prepare(lambda _: None)
    async with client.get("/v1/models") as response:
        cards = (await response.json())["data"]

    assert [("m", 4096)] == [(card["id"], card["max_model_len"]) for card in cards]


async def test_tokens_of_whole_answers_and_streams_are_counted(
    client: aiohttp.ClientSession, server: ScriptedServer
) -> None:
    """Usage counts once an answer, also where a server sends it with every event, growing."""
    server.script += [
        document({"model": "theirs", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        stream(
            chunk("a", usage={"prompt_tokens": 5, "completion_tokens": 1}),
            chunk("b", usage={"prompt_tokens": 5, "completion_tokens": 2}),
            b"[DONE]",
        ),
    ]
    for body in (COMPLETION, {**COMPLETION, "stream": True}):
        await (await client.post("/v1/completions", json=body)).read()
    load = read_load(await (await client.get("/metrics")).text())

    assert (0, 8, 6) == (load.num_running, load.num_prompt_tokens, load.num_completion_tokens)


async def test_a_running_request_is_counted(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """What is in flight is in the load."""
    server.script.append(stream(chunk("a"), then="hang"))
    response = await client.post("/v1/completions", json={**COMPLETION, "stream": True})
    load = read_load(await (await client.get("/metrics")).text())
    response.close()

    assert 1 == load.num_running
