"""router.wire_apis.pieces: what is in a chat completion, and tool calls that come one after another."""

from hypothesis import given
from hypothesis import strategies as st

from router.wire_apis.pieces import Counts, Finish, InOrder, Json, Piece, Reasoning, Text, ToolCall, pieces_of


def ordered(*pieces: Piece) -> list[Piece]:
    in_order = InOrder()
    return [*(one for piece in pieces for one in in_order.take(piece)), *in_order.rest()]


def call(index: int, arguments: str, name: str = "") -> ToolCall:
    return ToolCall(index, f"c{index}" if name else "", name, arguments)


def test_a_chunk_and_a_whole_answer_have_the_same_pieces() -> None:
    """Reasoning, text, tool calls, the end and the counts, wherever they stand."""
    said: Json = {
        "reasoning_content": "hm", "content": "yes",
        "tool_calls": [{"id": "c0", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }  # fmt: skip
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}
    ending = {"index": 0, "finish_reason": "stop", "stop_reason": "END"}
    expected = [Reasoning("hm"), Text("yes"), ToolCall(0, "c0", "f", "{}"), Finish("stop", "END"), Counts(9, 4, 8)]
    assert expected == list(pieces_of({"choices": [{**ending, "message": said}], "usage": usage}))
    assert expected == list(pieces_of({"choices": [{**ending, "delta": said}], "usage": usage}))


def test_other_choices_are_passed_over() -> None:
    """Nobody here asks for two answers."""
    assert [] == list(pieces_of({"choices": [{"index": 1, "delta": {"content": "other"}}]}))


def test_newer_engines_call_it_reasoning() -> None:
    """vLLM renamed the field."""
    assert [Reasoning("hm")] == list(pieces_of({"choices": [{"delta": {"reasoning": "hm", "content": None}}]}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "index",
                    "id",
                    "usage",
                    "finish_reason",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["choices", "usage", "id"]), JSON))
def test_no_json_is_too_strange(document: Json) -> None:
    """What is not as OpenAI has it is passed over, and never an exception."""
    assert all(isinstance(piece, Piece) for piece in pieces_of(document))


def test_calls_that_follow_each_other_go_on_at_once() -> None:
    """This is what engines do: nothing is held back."""
    pieces = [Text("a"), call(0, "", "f"), call(0, '{"x":'), call(0, "1}"), call(1, "", "g"), call(1, "{}")]
    in_order = InOrder()
    assert [[piece] for piece in pieces] == [list(in_order.take(piece)) for piece in pieces]


def test_calls_that_are_mixed_are_sorted_out() -> None:
    """The second one waits until the first one's arguments are JSON."""
    first, second = [call(0, "", "f"), call(0, '{"x":'), call(0, "1}")], [call(1, "", "g"), call(1, "{}")]
    mixed = [first[0], second[0], first[1], second[1], first[2], Text("b"), Finish("tool_calls", None)]
    assert [*first, *second, Text("b"), Finish("tool_calls", None)] == ordered(*mixed)


def test_what_never_becomes_json_is_given_at_the_end() -> None:
    """A call that a limit cut off keeps nothing from the client."""
    mixed = [call(0, '{"x":', "f"), call(1, "{", "g"), call(2, "{", "h"), call(1, "}"), Finish("length", None)]
    assert [mixed[0], mixed[1], mixed[3], mixed[2], mixed[4]] == ordered(*mixed)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "{", "}", "{}", "1"])), max_size=12))
def test_all_of_a_call_comes_together(parts: list[tuple[int, str]]) -> None:
    """However an engine mixes its calls."""
    indices = [piece.index for piece in ordered(*(call(*part) for part in parts)) if isinstance(piece, ToolCall)]
    blocks = [index for place, index in enumerate(indices) if place == 0 or indices[place - 1] != index]
    assert sorted(set(blocks)) == sorted(blocks)
    assert {index for index, _ in parts} == set(blocks)
