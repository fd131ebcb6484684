"""`deployments/engines/simulated/tokens.py`."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.simulated import tokens as simulated_tokens

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS)
def test_there_are_as_many_ids_as_the_count_says(text: str) -> None:
    """Counting a text and listing its tokens agree."""
    assert simulated_tokens.count(text) == len(simulated_tokens.ids(text))


@given(TEXTS, st.integers(), st.integers(0, 127), st.integers(0, 20_000))
def test_an_answer_has_the_tokens_asked_for(prompt: str, seed: int, choice: int, num_tokens: int) -> None:
    """An answer of n tokens counts n tokens when it is sent back as a prompt."""
    assert num_tokens == simulated_tokens.count(simulated_tokens.answer(prompt, seed, choice, num_tokens))


@given(st.lists(st.integers(0, 1_000_000), max_size=50))
def test_token_ids_make_a_text_of_as_many_tokens(token_ids: list[int]) -> None:
    """A prompt given as ids counts one token for each."""
    assert len(token_ids) == simulated_tokens.count(simulated_tokens.text_of_ids(token_ids))


@given(st.text("ab", max_size=200), st.text("ab", max_size=200), st.integers(1, 8))
def test_texts_share_exactly_the_blocks_of_their_common_prefix(first: str, second: str, num_block_tokens: int) -> None:
    """Two texts have the same leading keys for as many full blocks as their common prefix has."""
    keys = [simulated_tokens.block_keys(text, num_block_tokens) for text in (first, second)]
    num_shared = next((n for n, (a, b) in enumerate(zip(*keys, strict=False)) if a != b), min(map(len, keys)))
    num_common_chars = next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    num_common_blocks = num_common_chars // (4 * num_block_tokens)

    assert min(num_common_blocks, *map(len, keys)) == num_shared


def test_the_last_token_is_never_cached() -> None:
    """A prompt of whole blocks has no key for the last one."""
    assert [1, 2] == [len(simulated_tokens.block_keys("x" * size, 4)) for size in (32, 33)]


def test_answers_are_the_same_in_every_process() -> None:
    """Neither the text nor the ids depend on the process's hash seed."""
    code = "from deployments.engines.simulated import tokens as t; print(t.answer('hello', 7, 1, 6), t.ids('hello'))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[3],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert 1 == len(printed)


def test_seed_and_choice_change_the_answer() -> None:
    """Other seeds and other choices give other texts for the same prompt."""
    texts = {simulated_tokens.answer("hello", seed, choice, 16) for seed in range(3) for choice in range(3)}

    assert 9 == len(texts)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.integers(0, 9), st.integers(0, 200))
def test_an_answer_goes_on_where_it_was_cut(prompt: str, seed: int, num_said: int) -> None:
    """A prompt with the beginning of its answer is answered with the rest."""
    whole = simulated_tokens.answer(prompt, seed, 0, 201)
    said, rest = whole[: num_said * 4], whole[num_said * 4 :]

    assert rest == simulated_tokens.answer(prompt + said, seed, 0, 201 - num_said)


@given(st.integers(0, 2), st.integers(8, 50))
def test_an_answer_that_is_no_prompts_own_is_a_prompt(first: int, num_said: int) -> None:
    """Only the beginning of the prompt's own answer is gone on with."""
    foreign = simulated_tokens.answer("another prompt", first, 0, num_said)

    assert num_said != simulated_tokens.num_answered(f"a prompt of {num_said}.{foreign}", 7, 0)


def test_numbered_tokens_say_whose_they_are_and_which() -> None:
    """Each token is the tag and its position, to the base 36."""
    text = simulated_tokens.numbered_answer("q7", "Count, please.", 38)
    assert (["q700", "q701"], ["q70z", "q710", "q711"]) == (_tokens(text)[:2], _tokens(text)[35:])


def test_numbered_tokens_count_on_from_the_prompt() -> None:
    """A prompt that ends with what was said so far is continued, whichever engine said it."""
    said = simulated_tokens.numbered_answer("q7", "Count, please.", 38)
    rest = simulated_tokens.numbered_answer("q7", "Count, please." + said[:80], 18)
    assert said == said[:80] + rest


def test_the_numbers_of_another_tag_are_not_counted_on() -> None:
    """They are part of a prompt like any other."""
    assert "q700" == simulated_tokens.numbered_answer("q7", "r805", 1)


def _tokens(text: str) -> list[str]:
    size = simulated_tokens.NUM_TOKEN_CHARS
    return [text[start : start + size] for start in range(0, len(text), size)]
