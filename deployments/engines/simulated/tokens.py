"""
The simulated engine's tokens: every four characters of a text are one.

The pieces of which answers are made have four characters too, so that an answer counts the same when it is sent back as
a prompt. A whole answer is a slice of one endless text, which costs nothing a token.
"""

import random
import zlib

NUM_TOKEN_CHARS = 4
VOCABULARY_SIZE = 32_000
NUM_TAG_CHARS = 2
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_NUMBERS = [high + low for high in _DIGITS for low in _DIGITS]

# Four characters each. Letters and blanks only: no piece needs escaping in JSON.
_PIECES = " the and for not all new one two can has was may set get add run end map key row log job bit bus cpu ram api"
_NUM_TAPE_PIECES = 8192
_TAPE = "".join(
    random.Random(0).choices(  # noqa: S311  the same text in every process
        [_PIECES[start : start + NUM_TOKEN_CHARS] for start in range(0, len(_PIECES), NUM_TOKEN_CHARS)],
        k=_NUM_TAPE_PIECES,
    )
)

_TAPE_TWICE = (_TAPE * 2).encode()
_PIECE_SET = {_PIECES[start : start + NUM_TOKEN_CHARS].encode() for start in range(0, len(_PIECES), NUM_TOKEN_CHARS)}


def count(text: str) -> int:
    return -(-len(text) // NUM_TOKEN_CHARS)


def ids(text: str) -> list[int]:
    """The same ids in every process, each below 32,000."""
    return [
        zlib.crc32(text[start : start + NUM_TOKEN_CHARS].encode()) % VOCABULARY_SIZE
        for start in range(0, len(text), NUM_TOKEN_CHARS)
    ]


_MARKS = ("<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|repo_name|>", "<|file_sep|>")
"""Qwen's. The simulated model fills in the middle by them, so that all that leads to it can be tried."""


def mark_ids(text: str) -> list[int]:
    """The one id of a text that is a mark and nothing else; empty for all others. They come after those of texts."""
    return [VOCABULARY_SIZE + _MARKS.index(text)] if text in _MARKS else []


def text_of_ids(token_ids: list[int]) -> str:
    """A text of as many tokens, the same for the same ids: a prompt may be given as ids."""
    return "".join(f"{token_id & 0xFFFF:04x}" for token_id in token_ids)


def block_keys(text: str, num_block_tokens: int) -> list[int]:
    """
    A key for each full block of tokens, which depends on all blocks before it. Valid in this process only.

    The block that holds the last token has none: an engine computes at least one token of each prompt.
    """
    size = num_block_tokens * NUM_TOKEN_CHARS
    keys: list[int] = []
    key = 0
    for end in range(size, len(text), size):
        key = hash((key, text[end - size : end]))
        keys.append(key)
    return keys


def answer(prompt: str, seed: int, choice: int, num_tokens: int) -> str:
    """
    A text of `num_tokens` tokens; the same for the same prompt, seed and choice, in every process.

    A prompt that ends with the beginning of its own answer is answered with the rest, as a model would.
    """
    offset = _place(prompt, seed, choice)[0] % _NUM_TAPE_PIECES
    num_tapes = -(-(offset + num_tokens) // _NUM_TAPE_PIECES)
    tape = _TAPE if num_tapes == 1 else _TAPE * num_tapes
    return tape[offset * NUM_TOKEN_CHARS : (offset + num_tokens) * NUM_TOKEN_CHARS]


def num_answered(prompt: str, seed: int, choice: int) -> int:
    """Tokens at the prompt's end that are the beginning of its answer."""
    return _place(prompt, seed, choice)[1]


def _place(prompt: str, seed: int, choice: int) -> tuple[int, int]:
    """Where on the tape the rest of the answer begins, and how much of it the prompt has: both in pieces."""
    data = prompt.encode()
    end = len(data)
    while end > 0 and data[max(0, end - NUM_TOKEN_CHARS) : end] in _PIECE_SET:
        end -= NUM_TOKEN_CHARS
    checksum = zlib.crc32(data[:end], (seed * 1_000_003 + choice) & 0xFFFFFFFF)
    for begin in range(end, len(data), NUM_TOKEN_CHARS):
        offset = checksum % _NUM_TAPE_PIECES
        if _TAPE_TWICE.startswith(data[begin:], offset * NUM_TOKEN_CHARS):
            num_said = (len(data) - begin) // NUM_TOKEN_CHARS
            return offset + num_said, num_said
        checksum = zlib.crc32(data[begin : begin + NUM_TOKEN_CHARS], checksum)
    return checksum, 0


def numbered_answer(tag: str, prompt: str, num_tokens: int) -> str:
    """
    A text in which each token says whose it is and which one: `tag` and two digits to the base 36, from 00 to zz.

    A prompt that ends with such a token is counted on from there, so that a text which another engine began and this
    one ends can be told from one that lacks a token, has one twice, or has one of somebody else's.
    """
    first = num_numbered(tag, prompt)
    return "".join(tag + _NUMBERS[(first + index) % len(_NUMBERS)] for index in range(num_tokens))


def num_numbered(tag: str, prompt: str) -> int:
    """The number after that of the token at the prompt's end; 0 where that is none of `tag`."""
    said = prompt[-NUM_TAG_CHARS:]
    is_own = prompt[-NUM_TOKEN_CHARS:-NUM_TAG_CHARS] == tag and said in _NUMBERS
    return _NUMBERS.index(said) + 1 if is_own else 0
