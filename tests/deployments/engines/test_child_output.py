"""`deployments/engines/child_output.py`."""

from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.child_output import MAX_LINE_BYTES, LineReader


def lines_of(*pieces: bytes) -> list[str]:
    lines: list[str] = []
    reader = LineReader(lines.append)
    for piece in pieces:
        reader.data_received(piece)
    reader.connection_lost(None)
    return lines


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=40)), st.data())
def test_lines_do_not_depend_on_how_the_bytes_arrive(lines: list[str], data: st.DataObject) -> None:
    """Any split of the stream gives the same lines."""
    stream = "".join(f"{line}\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert lines == lines_of(*pieces)


def test_a_last_line_without_line_end_counts() -> None:
    """What a dying process printed last is not lost for want of a line end."""
    assert ["first", "Killed"] == lines_of(b"first\nKil", b"led")


def test_invalid_utf8_is_replaced() -> None:
    """A byte that is not UTF-8 becomes the replacement character."""
    assert ["a\ufffdb"] == lines_of(b"a\xffb\n")


def test_a_progress_bar_gives_its_last_state() -> None:
    """Of a line that overwrites itself, only what a terminal would show is kept."""
    assert ["100 %"] == lines_of(b"10 %\r50 %\r100 %\r\n")


def test_a_long_line_is_cut_whether_it_arrives_whole_or_in_pieces() -> None:
    """A line over the limit is cut and marked, and the next line is whole."""
    long = b"x" * (MAX_LINE_BYTES + 10)
    expected = ["x" * MAX_LINE_BYTES + " [cut]", "next"]

    assert [expected, expected] == [lines_of(long + b"\nnext\n"), lines_of(long, long, b"end\nne", b"xt\n")]
