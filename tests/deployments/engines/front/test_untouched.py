"""`deployments/engines/front/untouched.py`: recordings and speech through a front, to a server that is scripted."""

import asyncio
from typing import Any

import aiohttp
import pytest
from scripted_server import Reply, ScriptedServer, document

TRANSCRIPTIONS, SPEECH = "/v1/audio/transcriptions", "/v1/audio/speech"
HEADERS = {"Content-Type": "multipart/form-data; boundary=b0undary"}
FORM = (
    b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n\xff\r\n'
    b'--b0undary\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b0undary--\r\n'
)
SOUND_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"


async def post(client: aiohttp.ClientSession, path: str, data: bytes = b"", body: Any = None) -> tuple[int, str, bytes]:
    headers = HEADERS if body is None else {}
    async with client.post(path, data=data or None, json=body, headers=headers) as response:
        return response.status, response.headers["Content-Type"], await response.read()


async def test_a_form_has_the_servers_name(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """And is the router's otherwise; the answer is the server's."""
    server.script.append(document(b'{"text": "hello", "model": "theirs"}'))
    answer = await post(client, TRANSCRIPTIONS, FORM)

    assert [(TRANSCRIPTIONS, FORM.replace(b"\r\n\r\nm\r\n", b"\r\n\r\ntheirs\r\n"))] == server.requests
    assert (200, "application/json", b'{"text": "hello", "model": "theirs"}') == answer


async def test_a_text_has_the_servers_name(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """Its answer is sound, which comes in parts."""
    server.script.append(Reply(SOUND_HEAD + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"))
    answer = await post(client, SPEECH, body={"model": "m", "input": "Hi", "unknown": [1]})

    assert [(SPEECH, {"model": "theirs", "input": "Hi", "unknown": [1]})] == server.requests
    assert (200, "audio/mpeg", b"onetwo") == answer


async def test_an_error_is_told(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """In OpenAI's envelope, with the server's status."""
    server.script.append(document({"detail": "no such format"}, 415))
    status, kind, body = await post(client, TRANSCRIPTIONS, FORM)

    assert (415, "application/json") == (status, kind)
    assert b"no such format" in body


@pytest.mark.parametrize(
    ("path", "data"), [(TRANSCRIPTIONS, FORM[:-9]), (TRANSCRIPTIONS, b"{}"), (SPEECH, b"{"), (SPEECH, b"[1]")]
)
async def test_what_cannot_be_read(
    path: str, data: bytes, client: aiohttp.ClientSession, server: ScriptedServer
) -> None:
    """Is refused, and the server is not asked."""
    status, _, _ = await post(client, path, data)

    assert 400 == status
    assert [] == server.requests


async def test_sound_that_breaks_off(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """Breaks off here, too."""
    server.script.append(Reply(SOUND_HEAD + b"3\r\none\r\n", then="close"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await post(client, SPEECH, body={"model": "m", "input": "Hi"})


async def test_a_client_that_leaves(client: aiohttp.ClientSession, server: ScriptedServer, eventually: Any) -> None:
    """Takes the server's request with it."""
    server.script.append(Reply(SOUND_HEAD + b"3\r\none\r\n", then="hang"))
    async with client.post(SPEECH, json={"model": "m", "input": "Hi"}) as response:
        assert b"one" == await response.content.readany()
        response.close()
    await eventually(lambda: server.num_lost_clients == 1)


async def test_a_server_that_is_gone(client: aiohttp.ClientSession, server: ScriptedServer) -> None:
    """Is 503, after which the router asks elsewhere."""
    await server.stop()
    await asyncio.sleep(0)
    status, _, body = await post(client, TRANSCRIPTIONS, FORM)

    assert 503 == status
    assert b"engine_unavailable" in body
