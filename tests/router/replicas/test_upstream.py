"""router.replicas.upstream: HTTP/1.1 from an engine, however its bytes are cut, and the connections that are kept."""

import asyncio
import gc
import socket
import weakref
from dataclasses import dataclass
from itertools import pairwise

import pytest
from door import free_port
from hypothesis import given
from hypothesis import strategies as st
from memory_transport import MemoryTransport
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import LAST_CHUNK, STREAM_HEAD, chunk, plain

from router.replicas.registry import Replica
from router.replicas.upstream import (
    IDLE_LIMIT_S,
    MAX_IDLE_CONNECTIONS,
    ConnectFailed,
    ConnectionPool,
    UpstreamConnection,
)

REQUEST = (b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n", b"hi")


class Heard:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.num_reads = 0
        self.num_last = 0
        self.lost: list[str] = []

    @property
    def is_over(self) -> bool:
        return bool(self.num_last or self.lost)

    def head_received(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.statuses.append(status)
        self.headers = dict(headers)

    def data_received(self, data: bytes, *, is_last: bool) -> None:
        assert not self.is_over
        self.body += data
        self.num_reads += 1
        self.num_last += is_last

    def connection_lost(self, error: Exception) -> None:
        assert not self.is_over
        self.lost.append(str(error))


@dataclass(slots=True)
class Line:
    """A connection in memory that has one request in flight."""

    connection: UpstreamConnection
    transport: MemoryTransport
    sink: Heard
    idle: list[UpstreamConnection]

    @classmethod
    def asking(cls) -> "Line":
        idle: list[UpstreamConnection] = []
        line = cls(UpstreamConnection(idle.append), MemoryTransport(), Heard(), idle)
        line.connection.connection_made(line.transport)
        line.ask()
        return line

    def ask(self) -> None:
        self.sink = Heard()
        self.connection.send(*REQUEST, self.sink)

    def receive(self, *pieces: bytes) -> None:
        """Each piece is one read of the socket."""
        for piece in pieces:
            self.connection.data_received(piece)

    def end(self) -> None:
        """The engine closes the connection."""
        if not self.connection.eof_received():
            self.connection.connection_lost(None)


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """An answer as bytes, and what it means."""

    data: bytes
    body: bytes
    ends_with_connection: bool


def framed(body: bytes, chunk_sizes: list[int] | None, framing: str, interim: bytes) -> WireAnswer:
    """`body` as a whole answer, in one of HTTP/1.1's three framings."""
    head = interim + b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
    if framing == "length":
        return WireAnswer(head + b"content-length: %d\r\n\r\n" % len(body) + body, body, ends_with_connection=False)
    if framing == "close":
        return WireAnswer(head + b"\r\n" + body, body, ends_with_connection=True)
    chunks, rest = [], body
    for size in chunk_sizes or [7]:
        if rest:
            chunks.append(chunk(rest[:size]))
            rest = rest[size:]
    chunks += [chunk(rest)] if rest else []
    encoded = b"".join(chunks) + LAST_CHUNK
    return WireAnswer(head + b"Transfer-Encoding: Chunked\r\n\r\n" + encoded, body, ends_with_connection=False)


ANSWERS = st.builds(
    framed,
    st.binary(max_size=200) | st.sampled_from([b"0\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n", b"a\r\n\r\nb"]),
    st.lists(st.integers(1, 40), max_size=8),
    st.sampled_from(["length", "chunked", "close"]),
    st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"]),
)


@given(ANSWERS, st.lists(st.integers(0, 400), max_size=12))
def test_an_answer_may_be_cut_anywhere(answer: WireAnswer, cuts: list[int]) -> None:
    """Heads, chunk sizes and bodies in any number of reads: one status, the same body, one end."""
    line = Line.asking()
    ends = sorted({cut % len(answer.data) for cut in cuts} | {0, len(answer.data)})
    line.receive(*[answer.data[start:end] for start, end in pairwise(ends)])
    if answer.ends_with_connection:
        assert not line.sink.is_over
        line.end()
    assert ([200], answer.body, 1, []) == (line.sink.statuses, line.sink.body, line.sink.num_last, line.sink.lost)
    assert b"text/plain" == line.sink.headers[b"content-type"]
    assert (not answer.ends_with_connection) == (line.idle == [line.connection])


def test_one_read_is_handed_on_as_one() -> None:
    """Head and tokens in one segment reach the sink joined: one write to the client, not one for each chunk."""
    line = Line.asking()
    line.receive(STREAM_HEAD + chunk(b"a") + chunk(b"b"))
    assert (1, b"ab", 0) == (line.sink.num_reads, line.sink.body, line.sink.num_last)
    line.receive(chunk(b"c") + LAST_CHUNK)
    assert (2, b"abc", 1) == (line.sink.num_reads, line.sink.body, line.sink.num_last)


def test_the_request_is_written_as_given() -> None:
    """Head, then body."""
    assert b"".join(REQUEST) == b"".join(Line.asking().transport.writes)


def test_an_interim_answer_is_not_the_answer() -> None:
    """The sink hears nothing of a 100 Continue."""
    line = Line.asking()
    line.receive(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert ([], 0) == (line.sink.statuses, line.sink.num_last)
    line.receive(plain(b"yes"))
    assert ([200], b"yes") == (line.sink.statuses, line.sink.body)


def test_two_requests_one_after_another() -> None:
    """A connection that is idle again takes the next request, whose answer may be framed differently."""
    line = Line.asking()
    line.receive(plain(b"one"))
    line.ask()
    line.receive(STREAM_HEAD + chunk(b"two") + LAST_CHUNK)
    assert (b"two", 1) == (line.sink.body, line.sink.num_last)
    assert 2 == len(line.idle)


def test_connection_close_is_obeyed() -> None:
    """An engine that says that it will close gets no second request."""
    line = Line.asking()
    line.receive(plain(b"yes", extra_headers="connection: close\r\n"))
    assert (b"yes", 1) == (line.sink.body, line.sink.num_last)
    assert [] == line.idle
    assert line.transport.is_closed


def test_http_1_0_is_not_kept() -> None:
    """Its connections end with the answer unless the engine says otherwise."""
    line = Line.asking()
    line.receive(b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nyes")
    assert b"yes" == line.sink.body
    assert [] == line.idle


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_over_with_its_head(status: int) -> None:
    """Nothing is waited for."""
    line = Line.asking()
    line.receive(b"HTTP/1.1 %d Nothing\r\n\r\n" % status)
    assert ([status], b"", 1) == (line.sink.statuses, line.sink.body, line.sink.num_last)


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nyes",
        STREAM_HEAD,
        STREAM_HEAD + chunk(b"yes"),
        STREAM_HEAD + b"5\r\nye",
    ],
)
def test_an_early_end_is_a_loss(received: bytes) -> None:
    """What was promised and did not come is said once, and the connection is not kept."""
    line = Line.asking()
    line.receive(*[received] if received else [])
    line.end()
    assert (["it closed the connection"], 0, []) == (line.sink.lost, line.sink.num_last, line.idle)


def test_a_reset_is_a_loss_even_of_a_body_without_length() -> None:
    """Only an orderly close ends such a body."""
    line = Line.asking()
    line.receive(b"HTTP/1.1 200 OK\r\n\r\nye")
    line.connection.connection_lost(ConnectionResetError("reset"))
    assert (["the connection was lost (reset)"], 0) == (line.sink.lost, line.sink.num_last)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\x81",
        STREAM_HEAD + b"zz\r\n",
    ],
)
def test_what_is_not_http_is_a_loss(garbage: bytes) -> None:
    """The connection is dropped, and the reason says that the protocol was broken."""
    line = Line.asking()
    line.receive(garbage)
    [reason] = line.sink.lost
    assert reason.startswith("it broke the HTTP protocol (")
    assert "abort" in line.transport.calls


def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    """An answer without a request would otherwise be taken for the next request's."""
    line = Line.asking()
    line.receive(plain(b"yes"))
    line.receive(plain(b"and another"))
    assert b"yes" == line.sink.body
    assert line.transport.is_closed


def test_abandoning_is_silent() -> None:
    """Who gave a request up hears no more of it, and the engine sees its client go."""
    line = Line.asking()
    line.connection.abandon(line.sink)
    line.connection.connection_lost(None)
    assert "abort" in line.transport.calls
    assert not line.sink.is_over


def test_only_the_request_in_flight_may_pause_and_abandon_its_connection() -> None:
    """One whose answer is whole may have lost its connection to the next request at the same moment."""
    line = Line.asking()
    before = line.sink
    line.receive(plain(b"one"))
    line.ask()
    line.connection.pause_reading(before)
    line.connection.abandon(before)
    assert [] == line.transport.calls
    line.connection.pause_reading(line.sink)
    line.connection.resume_reading(before)
    assert ["pause"] == line.transport.calls
    line.connection.resume_reading(line.sink)
    assert ["pause", "resume"] == line.transport.calls


def test_a_sink_that_pauses_at_its_last_bytes_leaves_a_connection_that_reads() -> None:
    """A client that is full with the end of its answer must not silence the next request's."""
    line = Line.asking()

    class PausesAtTheEnd(Heard):
        def data_received(self, data: bytes, *, is_last: bool) -> None:
            super().data_received(data, is_last=is_last)
            line.connection.pause_reading(self)

    line.sink = PausesAtTheEnd()
    line.connection.send(*REQUEST, line.sink)
    line.receive(plain(b"yes"))
    assert [line.connection] == line.idle
    assert "pause" not in line.transport.calls


async def test_a_finished_request_leaves_its_connection_to_the_next() -> None:
    """What its answer still has is nobody's, and the next one's is as it should be."""
    line = Line.asking()
    before = line.sink
    line.receive(STREAM_HEAD + chunk(b"one"))
    line.connection.finish(before)
    assert [] == line.idle
    line.receive(chunk(b"late"), LAST_CHUNK)
    assert (b"one", 0, []) == (before.body, before.num_last, before.lost)
    assert [line.connection] == line.idle
    line.ask()
    line.receive(plain(b"two"))
    assert (b"two", 1) == (line.sink.body, line.sink.num_last)


async def test_a_finished_request_whose_client_was_slow() -> None:
    """Does not leave a connection behind that does not read."""
    line = Line.asking()
    line.receive(STREAM_HEAD + chunk(b"one"))
    line.connection.pause_reading(line.sink)
    line.connection.finish(line.sink)
    line.connection.pause_reading(line.sink)
    assert ["pause", "resume"] == line.transport.calls


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_finished_request_whose_engine_does_not_end(
    is_lost: bool,  # noqa: FBT001 - the table's column
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connection is dropped, and whoever asked does not hear of it."""
    monkeypatch.setattr("router.replicas.upstream.LAST_WORDS_S", 0)
    line = Line.asking()
    line.receive(STREAM_HEAD + chunk(b"one"))
    line.connection.finish(line.sink)
    if is_lost:
        line.connection.connection_lost(None)
    await eventually(lambda: line.transport.is_closed)
    assert (False, []) == (line.sink.is_over, line.idle)


async def test_a_connection_that_serves_again_is_not_dropped_for_the_request_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its time to end was that of the other answer."""
    monkeypatch.setattr("router.replicas.upstream.LAST_WORDS_S", 0)
    line = Line.asking()
    line.receive(STREAM_HEAD + chunk(b"one"))
    line.connection.finish(line.sink)
    line.receive(LAST_CHUNK)
    line.ask()
    is_due = asyncio.Event()
    asyncio.get_running_loop().call_later(0, is_due.set)
    await is_due.wait()
    assert [] == line.transport.calls


# the pool, over real sockets


def replica_at(port: int) -> Replica:
    return Replica("r1", "m", "127.0.0.1", port, "secret", "simulated", "vllm")


def pool_of(engine: ScriptedEngine) -> ConnectionPool:
    return ConnectionPool(engine.replica("r1"), asyncio.get_running_loop())


async def answered(connection: UpstreamConnection) -> bytes:
    """The body of the next answer on that connection."""
    sink = Heard()
    connection.send(*REQUEST, sink)
    await eventually(lambda: sink.is_over)
    return sink.body


async def test_an_idle_connection_is_taken_again(engine: ScriptedEngine) -> None:
    """Two requests, one connection."""
    engine.otherwise = [plain(b"yes")]
    pool = pool_of(engine)
    assert pool.take_idle() is None
    first = await pool.connect(5)
    await answered(first)
    second = pool.take_idle()
    assert first is second
    assert pool.take_idle() is None
    assert b"yes" == await answered(first)
    assert 1 == len(engine.connections)
    pool.close()
    await eventually(lambda: engine.num_open == 0)


async def test_an_idle_connection_that_the_engine_closed_is_not_taken(engine: ScriptedEngine) -> None:
    """Its end was seen before anybody asked for it."""
    engine.script(plain(b"yes"), Ending.CLOSE)
    pool = pool_of(engine)
    connection = await pool.connect(5)
    await answered(connection)
    await eventually(lambda: not connection.is_open)
    assert pool.take_idle() is None


async def test_a_connection_that_was_idle_for_long_is_not_taken(engine: ScriptedEngine) -> None:
    """Engines close idle connections after 5 s; one that may be about to is not trusted."""
    engine.otherwise = [plain(b"yes")]
    pool = pool_of(engine)
    connection = await pool.connect(5)
    await answered(connection)
    connection.idle_since -= IDLE_LIMIT_S + 1
    assert pool.take_idle() is None
    await eventually(lambda: engine.num_open == 0)


async def test_the_number_of_idle_connections_is_limited(engine: ScriptedEngine) -> None:
    """llama.cpp holds a thread for each."""
    engine.otherwise = [plain(b"yes")]
    pool = pool_of(engine)
    connections = [await pool.connect(5) for _ in range(MAX_IDLE_CONNECTIONS + 2)]
    for connection in connections:
        await answered(connection)
    await eventually(lambda: engine.num_open == MAX_IDLE_CONNECTIONS)
    pool.close()
    await eventually(lambda: engine.num_open == 0)


async def test_a_closed_pool_keeps_nothing(engine: ScriptedEngine) -> None:
    """A request that was in flight when its replica left Serve's list is finished, and its connection closed."""
    gate = asyncio.Event()
    engine.script(gate, plain(b"yes"))
    pool = pool_of(engine)
    sink = Heard()
    connection = await pool.connect(5)
    connection.send(*REQUEST, sink)
    pool.close()
    gate.set()
    await eventually(lambda: sink.is_over)
    assert b"yes" == sink.body
    await eventually(lambda: engine.num_open == 0)


async def test_a_refused_connection_is_said_in_words() -> None:
    """Nobody listens on the port."""
    pool = ConnectionPool(replica_at(free_port()), asyncio.get_running_loop())
    with pytest.raises(ConnectFailed, match=r"(?i)refused"):
        await pool.connect(5)


async def test_a_closed_connection_is_freed_at_once(engine: ScriptedEngine) -> None:
    """It does not wait for the garbage collector: hundreds of streams open and close hundreds of connections."""
    engine.otherwise = [plain(b"yes")]
    pool = pool_of(engine)
    connection = await pool.connect(5)
    assert b"yes" == await answered(connection)
    freed = weakref.ref(connection)
    gc.disable()
    try:
        del connection
        pool.close()
        await eventually(lambda: freed() is None)
    finally:
        gc.enable()


async def test_connecting_has_a_time_limit() -> None:
    """A listener whose queue is full leaves its clients without an answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.settimeout(0)
            client.connect_ex(("127.0.0.1", port))
        pool = ConnectionPool(replica_at(port), asyncio.get_running_loop())
        with pytest.raises(ConnectFailed, match=r"no connection within 0\.05 s"):
            await pool.connect(0.05)
        for client in waiting:
            client.close()
