"""router.call: a request that was read, its id, and its account."""

import orjson
import pytest
from recording_sink import RecordingSink
from wire import CHAT, CHAT_STREAM, CHAT_STREAM_WITH_USAGE, COMPLETION

from router.call import ROUTES, Account, parse_call, request_id
from router.errors import InvalidRequest
from router.http.asgi import Headers
from router.http.event_stream import Usage
from router.metrics import CACHE, COMPLETION_TOKENS, PROMPT_TOKENS, REQUEST_LATENCY, REQUESTS, TIME_TO_FIRST_TOKEN
from router.models.table import Model
from router.replicas.registry import Replica

CHAT_ROUTE, COMPLETION_ROUTE = ROUTES["/v1/chat/completions"], ROUTES["/v1/completions"]


@pytest.mark.parametrize(
    ("body", "wants_stream", "wants_usage"),
    [
        (CHAT, False, False),
        ({**CHAT, "stream": False}, False, False),
        ({**CHAT, "stream": None}, False, False),
        (CHAT_STREAM, True, False),
        (CHAT_STREAM_WITH_USAGE, True, True),
        ({**CHAT_STREAM, "stream_options": {}}, True, False),
        ({**CHAT_STREAM, "stream_options": None}, True, False),
        ({**CHAT_STREAM, "stream_options": {"include_usage": 1}}, True, False),
    ],
)
def test_what_is_wanted(body: object, *, wants_stream: bool, wants_usage: bool) -> None:
    """A stream, and its usage: only where it says so."""
    call = parse_call(CHAT_ROUTE, orjson.dumps(body))
    assert (wants_stream, wants_usage) == (call.wants_stream, call.wants_usage)


def test_the_body_and_its_bytes_are_both_kept() -> None:
    """The first is read, the second forwarded."""
    raw = b'{ "model": "default", "prompt": "hi" }'
    call = parse_call(COMPLETION_ROUTE, raw)
    assert ("default", {"model": "default", "prompt": "hi"}, raw) == (call.model_name, call.body, call.raw)


FUNCTION = {"type": "function", "function": {"name": "look"}}
SEARCH, CUSTOM = {"type": "web_search"}, {"type": "custom", "custom": {"name": "patch"}}


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"tools": [SEARCH, FUNCTION, CUSTOM], "tool_choice": "auto"}, {"tools": [FUNCTION], "tool_choice": "auto"}),
        ({"tools": [SEARCH], "tool_choice": "required", "parallel_tool_calls": False}, {}),
        ({"tools": [FUNCTION, CUSTOM], "tool_choice": CUSTOM}, {"tools": [FUNCTION]}),
        ({"tools": [FUNCTION, SEARCH], "tool_choice": FUNCTION}, {"tools": [FUNCTION], "tool_choice": FUNCTION}),
    ],
)
def test_kinds_of_tools_that_no_engine_has_are_left_out(asked: dict[str, object], kept: dict[str, object]) -> None:
    """An engine would refuse the whole request for one."""
    call = parse_call(CHAT_ROUTE, orjson.dumps({**CHAT, **asked}))
    assert ({**CHAT, **kept}, {**CHAT, **kept}) == (call.body, orjson.loads(call.raw))


@pytest.mark.parametrize("tools", [[FUNCTION], [], [{"function": {"name": "look"}}], ["look"], None])
def test_other_tools_are_the_engines_to_judge(tools: object) -> None:
    """The bytes are the client's own."""
    raw = orjson.dumps({**CHAT, "tools": tools}, option=orjson.OPT_INDENT_2)
    assert raw == parse_call(CHAT_ROUTE, raw).raw


@pytest.mark.parametrize(
    ("raw", "param"),
    [(b"{}", "model"), (b"[]", None), (b'{"model": "m"}', "messages"), (orjson.dumps(COMPLETION), "messages")],
)
def test_each_route_checks_what_it_needs(raw: bytes, param: str | None) -> None:
    """The first fault is the one that is said: JSON, model, fields."""
    with pytest.raises(InvalidRequest) as invalid:
        parse_call(CHAT_ROUTE, raw)
    assert param == invalid.value.param


@pytest.mark.parametrize("given", [b"a", b"req-1.2:3_x", b"x" * 128])
def test_a_harmless_id_is_kept(given: bytes) -> None:
    """The client can find its request in our log."""
    assert given == request_id({"headers": [(b"x-request-id", given)]})


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"a b", b"a\r\nb", b'a"b', "ä".encode()])
def test_a_harmful_id_is_replaced(given: bytes) -> None:
    """It would end up in headers and in logs."""
    assert request_id({"headers": [(b"x-request-id", given)]}).startswith(b"req-")


def test_fresh_ids_differ() -> None:
    """And are harmless themselves."""
    headers: Headers = []
    fresh = {request_id({"headers": headers}) for _ in range(100)}
    assert 100 == len(fresh)
    assert all(one == request_id({"headers": [(b"x-request-id", one)]}) for one in fresh)


def account(sink: RecordingSink) -> Account:
    """An account of a request that arrived at 10, as seen at 12."""
    return Account(sink, 10.0, lambda: 12.0, "/v1/completions")


REPLICA = Replica("r1", "m", "127.0.0.1", 1, "secret", "vllm", "vllm")


def test_an_account_is_closed_with_everything_that_is_known() -> None:
    """Requests by code, seconds from arrival, and the engine's own counts."""
    sink = RecordingSink()
    opened = account(sink)
    opened.attempt(Model("m", ("app",), ()), REPLICA)
    opened.first_token()
    opened.count_tokens(Usage(3, 0))
    opened.close("ok", "miss")
    labels = {"model": "m", "engine": "vllm", "replica": "r1"}
    assert [
        (TIME_TO_FIRST_TOKEN, 2.0, labels),
        (PROMPT_TOKENS, 3, labels),
        (REQUESTS, 1, {**labels, "route": "/v1/completions", "code": "ok"}),
        (REQUEST_LATENCY, 2.0, labels),
        (CACHE, 1, {**labels, "outcome": "miss"}),
    ] == [(one.metric, one.value, one.labels) for one in sink.records]


def test_a_request_that_reached_no_replica_is_counted_too() -> None:
    """Its labels are empty, and all there."""
    sink = RecordingSink()
    account(sink).close("invalid_request")
    assert [REQUESTS, REQUEST_LATENCY] == [one.metric for one in sink.records]
    assert 0 == sink.total(COMPLETION_TOKENS)
    for one in sink.records:
        assert set(one.metric.labels) == one.labels.keys()
