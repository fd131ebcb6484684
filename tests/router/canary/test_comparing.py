"""router.canary.comparing: what can be said of two answers without judging their words."""

import orjson
import pytest
from wire import CHAT, DONE, STOP, USAGE_EVENT, token

from router.call import ROUTES, parse_call
from router.canary.comparing import Shape, differences, shape_of

TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {}}}]
CALL = parse_call(ROUTES["/v1/chat/completions"], orjson.dumps({**CHAT, "tools": TOOLS}))


def answer(*calls: tuple[str, str], content: str | None = "hello") -> bytes:
    tool_calls = [{"id": "1", "type": "function", "function": {"name": n, "arguments": a}} for n, a in calls]
    return orjson.dumps({"choices": [{"index": 0, "message": {"content": content, "tool_calls": tool_calls}}]})


def test_a_stream_has_the_shape_of_its_whole() -> None:
    """Both forms of one answer are alike."""
    streamed = token("hel") + token("lo") + STOP + USAGE_EVENT + DONE
    assert Shape(5) == shape_of(streamed, CALL, is_stream=True) == shape_of(answer(), CALL, is_stream=False)


@pytest.mark.parametrize(
    ("name", "arguments", "is_valid"),
    [
        ("read", '{"path": "a"}', True),
        ("read", "", True),
        ("write", "{}", False),
        ("read", "{", False),
        ("read", "[]", False),
    ],
)
def test_a_tool_call_is_valid_or_not(name: str, arguments: str, is_valid: bool) -> None:  # noqa: FBT001 - expected
    """It names a tool of the request, and its arguments are an object."""
    assert Shape(0, 1, int(is_valid)) == shape_of(answer((name, arguments), content=None), CALL, is_stream=False)


@pytest.mark.parametrize("broken", [b"", b"{}", b"[]", b'{"choices": [1]}', b"data: {\n\n"])
def test_what_is_no_answer_has_no_shape(broken: bytes) -> None:
    """In either form."""
    assert [None, None] == [shape_of(broken, CALL, is_stream=is_stream) for is_stream in (False, True)]


@pytest.mark.parametrize(
    ("client", "shadow", "kinds"),
    [
        (Shape(100), Shape(110), ()),
        (Shape(10), Shape(70), ()),
        (Shape(1000), Shape(1900), ()),
        (Shape(1000), Shape(2100), ("length",)),
        (Shape(2100), Shape(1000), ("length",)),
        (Shape(1000), None, ("error",)),
        (None, None, ()),
        (None, Shape(10), ()),
        (Shape(0, 1, 1), Shape(0, 2, 2), ()),
        (Shape(0, 1, 1), Shape(0, 1, 0), ("tool_calls",)),
        (Shape(0, 1, 0), Shape(0, 1, 0), ()),
        (Shape(2000), Shape(0, 1, 1), ()),
    ],
)
def test_a_shadow_is_measured_by_the_clients_answer(
    client: Shape | None, shadow: Shape | None, kinds: tuple[str, ...]
) -> None:
    """What the client had too is no fault, nor that one calls a tool where the other answers."""
    assert kinds == differences(client, shadow)
