"""router.http.answer: what is written to a client, in which order, and in which form an error goes out."""

import asyncio

import orjson
import pytest
from polling import eventually

from router.errors import EngineFailed, EngineUnavailable
from router.http.answer import Answer
from router.http.asgi import Message
from router.http.event_stream import KEEP_ALIVE


class Server:
    """An ASGI server's `send`, which waits while its client is full, as uvicorn's does."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.is_writable = asyncio.Event()
        self.is_writable.set()
        self.fails_with: Exception | None = None

    async def send(self, message: Message) -> None:
        await self.is_writable.wait()
        if self.fails_with is not None:
            raise self.fails_with
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def answer_through(server: Server) -> Answer:
    return Answer(server.send, [(b"x-request-id", b"1")], asyncio.get_running_loop())


async def test_what_is_written_is_sent_at_once() -> None:
    """Without an entry of the event loop: this is the path of a token."""
    server = Server()
    answer = answer_through(server)
    answer.start_stream()
    answer.write(b"a", is_last=False)
    answer.write(b"b", is_last=True)
    assert ["http.response.start", "http.response.body", "http.response.body"] == [one["type"] for one in server.sent]
    assert [True, False] == [one["more_body"] for one in server.sent[1:]]
    assert (b"x-request-id", b"1") in server.sent[0]["headers"]
    assert answer.is_complete


async def test_a_full_client_stops_the_source_and_keeps_the_order() -> None:
    """What comes meanwhile waits its turn; the source hears once when to stop, and when to go on."""
    server = Server()
    answer = answer_through(server)
    heard: list[str] = []
    answer.on_full, answer.on_drained = lambda: heard.append("full"), lambda: heard.append("drained")
    answer.start_stream()
    server.is_writable.clear()
    for data in (b"a", b"b", b"c"):
        answer.write(data, is_last=data == b"c")
    assert (b"", ["full"]) == (server.body, heard)
    assert answer.full_since is not None
    server.is_writable.set()
    await answer.drained()
    assert (b"abc", ["full", "drained"]) == (server.body, heard)
    assert answer.full_since is None


async def test_drained_is_immediate_where_nothing_waits() -> None:
    """Nearly every answer ends so."""
    answer = answer_through(Server())
    answer.send_whole(200, b"{}")
    await answer.drained()


async def test_a_client_that_cannot_be_written_to_is_let_go() -> None:
    """An answer is no place for a server's errors; what follows is dropped."""
    server = Server()
    answer = answer_through(server)
    server.fails_with = OSError("gone")
    answer.start_stream()
    server.fails_with = None
    answer.write(b"a", is_last=True)
    await answer.drained()
    assert [] == server.sent


async def test_a_client_that_fails_while_it_is_full_is_let_go() -> None:
    """What waited is dropped, and nobody waits for it."""
    server = Server()
    answer = answer_through(server)
    answer.start_stream()
    server.is_writable.clear()
    answer.write(b"a", is_last=False)
    answer.write(b"b", is_last=True)
    server.fails_with = OSError("gone")
    server.is_writable.set()
    await answer.drained()
    assert b"" == server.body
    assert answer.full_since is None


async def test_an_error_before_the_headers_is_an_answer() -> None:
    """Status, envelope, headers."""
    server = Server()
    answer = answer_through(server)
    answer.fail(EngineUnavailable("gone", retry_after_s=1))
    start, body = server.sent
    assert (503, False) == (start["status"], body["more_body"])
    assert {(b"retry-after", b"1"), (b"x-request-id", b"1"), (b"content-type", b"application/json")} <= {
        *start["headers"]
    }
    assert "engine_unavailable" == orjson.loads(body["body"])["error"]["code"]


async def test_an_error_after_the_headers_is_an_event_that_is_not_the_end() -> None:
    """The server cuts the connection when the app returns without an end."""
    server = Server()
    answer = answer_through(server)
    answer.start_stream()
    answer.fail(EngineFailed("broken"))
    answer.fail(EngineFailed("again"))
    assert 2 == len(server.sent)
    assert b'"code":"engine_failed"' in server.body
    assert server.sent[-1]["more_body"]
    assert answer.is_cut
    assert not answer.is_complete


async def test_an_answer_that_is_complete_cannot_fail() -> None:
    """Whatever goes wrong afterwards is not the client's business."""
    server = Server()
    answer = answer_through(server)
    answer.send_whole(200, b"{}")
    answer.fail(EngineFailed("late"))
    assert b"{}" == server.body


@pytest.mark.parametrize("num_comments", [1, 3])
async def test_keep_alive_sends_headers_once(num_comments: int) -> None:
    """And leaves it open who answers."""
    server = Server()
    answer = answer_through(server)
    for _ in range(num_comments):
        answer.keep_alive()
    assert KEEP_ALIVE * num_comments == server.body
    assert num_comments + 1 == len(server.sent)
    assert not answer.has_content


async def test_a_full_client_gets_no_comments() -> None:
    """They would only pile up."""
    server = Server()
    answer = answer_through(server)
    answer.start_stream()
    server.is_writable.clear()
    answer.keep_alive()
    answer.keep_alive()
    server.is_writable.set()
    await eventually(lambda: answer.full_since is None)
    assert KEEP_ALIVE == server.body
