"""Clients that break HTTP, dawdle or vanish: what each is told, and that the router is well afterwards."""

import socket
import struct
from dataclasses import dataclass

import house_processes
import pytest
from house import House
from raw_http import CHAT, answers, ask, chunked, connection, is_closed, post, request
from waiting import wait_for

GOOD = {"model": "smollm2", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 2}
GOOD_BODY = post(GOOD).partition(b"\r\n\r\n")[2]
LONG = {**GOOD, "max_tokens": 400, "logit_bias": {"0": -100, "2": -100}}
"""The two tokens that would end it early are ruled out."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(190)


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes that are no valid HTTP, or too much of it."""

    what: str
    data: bytes
    status: int = 400
    code: str = "invalid_request"


BROKEN = [
    Broken("no HTTP at all", b"HELO example.org\r\n\r\n"),
    Broken("TLS", TLS_HELLO),
    Broken("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Broken("HTTP/3.1", b"GET /v1/models HTTP/3.1\r\nhost: localhost\r\n\r\n"),
    Broken("a method in small letters", b"post /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    Broken("a header without a colon", b"GET /v1/models HTTP/1.1\r\nhost localhost\r\n\r\n"),
    Broken("a blank in a header's name", b"GET /v1/models HTTP/1.1\r\nho st: localhost\r\n\r\n"),
    Broken("a NUL in a header", request("GET", "/v1/models", x_note="a\0b")),
    Broken("two lengths", request("POST", CHAT, GOOD_BODY, content_length=f"{len(GOOD_BODY)}\r\ncontent-length: 3")),
    Broken("a length in words", request("POST", CHAT, GOOD_BODY, content_length="ten")),
    Broken("a negative length", request("POST", CHAT, GOOD_BODY, content_length="-1")),
    Broken("a length and chunks", request("POST", CHAT, chunked(GOOD_BODY, 9), content_length="5",
           transfer_encoding="chunked")),
    Broken("an encoding that is not chunked", request("POST", CHAT, GOOD_BODY, transfer_encoding="gzip")),
    Broken("a chunk without a size", request("POST", CHAT, b"zz\r\nhello\r\n", transfer_encoding="chunked")),
    Broken("one header of 70 kB", request("GET", "/v1/models", x_note="a" * 70_000), 431, "headers_too_large"),
    Broken("a path of 70 kB", request("GET", "/v1/" + "a" * 70_000), 431, "headers_too_large"),
    Broken("1000 headers", request("GET", "/v1/models", **{f"x_{i}": "a" * 70 for i in range(1000)}), 431,
           "headers_too_large"),
    Broken("headers without end", b"GET /v1/models HTTP/1.1\r\n" + b"x-note: aaaaaaaaaaaaaa\r\n" * 4000, 431,
           "headers_too_large"),
]  # fmt: skip


@pytest.mark.parametrize("broken", [pytest.param(broken, id=broken.what) for broken in BROKEN])
def test_broken_http_is_refused_and_closed(laptop: House, broken: Broken) -> None:
    """What is not HTTP gets its status in OpenAI's envelope, and the connection is closed."""
    with connection(laptop.port) as client:
        client.sendall(broken.data)
        [answer] = answers(client, 2)
    assert (broken.status, broken.code) == (answer.status, answer.error["code"])
    assert "close" == answer.headers["connection"]


# dawdlers: they have 2 s


def test_slow_headers_time_out(laptop: House) -> None:
    """A client that does not finish its headers is answered 408, and its connection closed."""
    with connection(laptop.port) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost:")
        [answer] = answers(client, 2)
    assert (408, "request_timeout") == (answer.status, answer.error["code"])


def test_a_slow_body_times_out(laptop: House) -> None:
    """A client that does not finish its body is answered 408 and told that another try would not help."""
    with connection(laptop.port) as client:
        client.sendall(post(GOOD, x_request_id="slow")[:-20])
        answer = answers(client)[0]
    assert (408, "request_timeout") == (answer.status, answer.error["code"])
    assert ("slow", "false") == (answer.headers["x-request-id"], answer.headers["x-should-retry"])


def test_a_dripping_body_times_out(laptop: House) -> None:
    """Sending a byte now and then buys no time: the limit is on the whole body."""
    with connection(laptop.port) as client:
        client.sendall(post(GOOD)[:-60])
        client.settimeout(0.2)
        answer = _drip(client)
    assert b" 408 " in answer


def _drip(client: socket.socket) -> bytes:
    for _ in range(300):
        client.sendall(b" ")
        try:
            return client.recv(65_536)
        except TimeoutError:
            continue
    return b""


def test_a_silent_connection_is_closed(laptop: House) -> None:
    """A connection on which no request ever begins is closed without a word."""
    with connection(laptop.port) as client:
        assert is_closed(client)


# connections that end early


def test_a_half_closed_client_counts_as_gone(laptop: House) -> None:
    """A client that closes its sending half gets no answer: to the router, one that is gone looks the same."""
    with connection(laptop.port) as client:
        client.sendall(post(LONG))  # its answer is not there before the client is gone
        client.shutdown(socket.SHUT_WR)
        assert is_closed(client)


def test_a_client_that_half_closes_within_its_body_is_let_go(laptop: House) -> None:
    """Half a request with nothing to follow is closed without an answer."""
    with connection(laptop.port) as client:
        client.sendall(post(GOOD)[:-20])
        client.shutdown(socket.SHUT_WR)
        assert is_closed(client)


@pytest.mark.parametrize("num_bytes", [0, 10, 120, len(post(GOOD))])
@pytest.mark.parametrize("linger", [pytest.param(b"", id="close"), pytest.param(RESET_ON_CLOSE, id="reset")])
def test_a_client_that_vanishes_harms_nobody(laptop: House, num_bytes: int, linger: bytes) -> None:
    """A client that closes or resets its connection at any point of its request leaves a router that answers."""
    with connection(laptop.port) as client:
        client.sendall(post(GOOD)[:num_bytes])
        if linger:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert 200 == ask(laptop.port, request("GET", "/v1/models")).status


# odd, but HTTP


def test_http_1_0_is_answered_and_closed(laptop: House) -> None:
    """A client of HTTP/1.0 gets its answer, and the end of the connection with it."""
    with connection(laptop.port) as client:
        client.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        [answer] = answers(client, 2)
    assert 200 == answer.status


def test_pipelined_requests_are_answered_in_order(laptop: House) -> None:
    """Requests that are sent without waiting are answered one after the other."""
    paths = ["/health", "/v1/models/gpt-5", "/health", "/nothing"]
    with connection(laptop.port) as client:
        client.sendall(post(GOOD) + b"".join(request("GET", path) for path in paths))
        assert [200, 200, 404, 200, 404] == [answer.status for answer in answers(client, 5)]


def test_expect_continue_is_granted(laptop: House) -> None:
    """A client that asks whether it may send its body is told to go on."""
    head, _, body = post(GOOD, expect="100-continue").partition(b"\r\n\r\n")
    with connection(laptop.port) as client:
        client.sendall(head + b"\r\n\r\n")
        interim = answers(client)[0]
        client.sendall(body)
        assert [100, 200] == [interim.status, answers(client)[0].status]


def test_a_body_that_says_that_it_is_too_large_is_not_waited_for(laptop: House) -> None:
    """20 MB that are only announced are refused at once."""
    answer = ask(laptop.port, request("POST", CHAT, content_length="20000000", x_request_id="large"))
    assert (413, "request_too_large", "large") == (answer.status, answer.error["code"], answer.headers["x-request-id"])


def test_a_chunked_body_is_read(laptop: House) -> None:
    """A request may come in chunks of any size."""
    answer = ask(laptop.port, request("POST", CHAT, chunked(GOOD_BODY, 3), transfer_encoding="chunked"))
    assert 200 == answer.status


def test_a_websocket_is_not_offered(laptop: House) -> None:
    """A request for an upgrade is answered as the plain request that it also is."""
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec_websocket_version": "13", "sec_websocket_key": "a"}
    assert 405 == ask(laptop.port, request("GET", CHAT, **upgrade)).status


def test_a_connection_survives_an_error(laptop: House) -> None:
    """A refused request costs its client the answer, not the connection."""
    with connection(laptop.port) as client:
        client.sendall(post(b"{") + post(GOOD))
        assert [400, 200] == [answer.status for answer in answers(client, 2)]


# and then


def test_the_router_is_well_after_all_of_it(laptop: House) -> None:
    """After one more round of everything broken: a chat, the first router still, no 5xx, and no connection open."""
    for broken in BROKEN:
        with connection(laptop.port) as client:
            client.sendall(broken.data)
    assert 200 == ask(laptop.port, post(GOOD)).status
    assert 1 == laptop.num_started("router")
    assert [] == [line for line in laptop.replica_logs("router").splitlines() if " ended with 5" in line]
    [router] = laptop.routers()
    wait_for("every connection is closed", lambda: not house_processes.clients(router, laptop.port))
