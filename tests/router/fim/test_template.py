"""router.fim.template: each family's prompt as its model card has it, and which family a tokeniser tells of."""

import pytest

from configs.fim import FimMarks, FimPolicy
from router.fim.template import (
    FAMILIES,
    NATIVE,
    NONE,
    TOLD_BY,
    ExtraFile,
    FimTemplate,
    detect,
    set_template,
)

PROMPTS = {
    "qwen_coder": "<|fim_prefix|>def f(<|fim_suffix|>): pass<|fim_middle|>",
    "deepseek_coder": "<\uff5cfim\u2581begin\uff5c>def f(<\uff5cfim\u2581hole\uff5c>): pass<\uff5cfim\u2581end\uff5c>",
    "starcoder": "<fim_prefix>def f(<fim_suffix>): pass<fim_middle>",
    "code_llama": "<PRE> def f( <SUF>): pass <MID>",
    "codestral": "[SUFFIX]): pass[PREFIX]def f(",
    "granite": "<|fim_prefix|>def f(<|fim_suffix|>): pass<|fim_middle|>",
    "code_gemma": "<|fim_prefix|>def f(<|fim_suffix|>): pass<|fim_middle|>",
}
OTHERS = (ExtraFile("a.py", "A = 1"), ExtraFile("b.py", "B = 2"))

# Which of the texts each tokeniser has as one token, as its tokenizer.json or its GGUF file says.
TOKENISERS: dict[str, tuple[str, ...]] = {
    "qwen_coder": (
        *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
        *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
    ),
    "deepseek_coder": (*FAMILIES["deepseek_coder"].marks, "<\uff5cend\u2581of\u2581sentence\uff5c>", "<|EOT|>"),
    "starcoder": (
        *("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<repo_name>", "<file_sep>"),
    ),
    "code_llama": ("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "\u2581<EOT>", "</s>"),
    "codestral": ("[SUFFIX]", "[PREFIX]", "[MIDDLE]", "</s>"),
    "granite": ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|end_of_text|>"),
    "code_gemma": ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|file_separator|>", "<eos>"),
    "none": ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>"),  # SmolLM2
}


def ids(texts: tuple[str, ...]) -> dict[str, int]:
    return {text: 100 + index for index, text in enumerate(texts)}


@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_prompt_of_a_family(family: str) -> None:
    """Both texts stand where the model was trained to have them."""
    template = set_template(FimPolicy.model_validate({"template": family}))
    assert template is not None
    assert PROMPTS[family] == template.prompt("def f(", "): pass")


@pytest.mark.parametrize("family", list(TOKENISERS))
def test_a_tokeniser_tells_the_family(family: str) -> None:
    """By the texts that are one token in it."""
    assert family == detect(ids(TOKENISERS[family])).name


def test_codellamas_own_tokens_are_used_where_they_are_known() -> None:
    """They begin with SentencePiece's blank, of which a plain one need not become the same token."""
    template = detect(ids(TOKENISERS["code_llama"]))
    assert "\u2581<PRE> def f(\u2581<SUF>): pass\u2581<MID>" == template.prompt("def f(", "): pass")


def test_what_ends_an_answer_is_known_by_its_ids() -> None:
    """Every mark that the tokeniser has is among them, and none that it lacks."""
    found = detect(ids(TOKENISERS["granite"]))
    assert {100, 101, 102, 103, 104} == set(found.stop_token_ids)


def test_other_files_stand_behind_the_models_own_marks() -> None:
    """The open file comes last, so that what is known of the others can be kept in the KV cache."""
    prompt = FAMILIES["qwen_coder"].prompt("x", "y", OTHERS)
    assert (
        "<|repo_name|>project\n<|file_sep|>a.py\nA = 1\n<|file_sep|>b.py\nB = 2\n<|file_sep|>file\n"
        "<|fim_prefix|>x<|fim_suffix|>y<|fim_middle|>"
    ) == prompt


def test_other_files_are_plain_text_for_a_model_without_marks_for_them() -> None:
    """A tokeniser that lacks the marks would read them letter by letter."""
    without = tuple(text for text in TOKENISERS["starcoder"] if text not in ("<repo_name>", "<file_sep>"))
    prompt = detect(ids(without)).prompt("x", "y", OTHERS)
    assert "A = 1\n\nB = 2\n\n<fim_prefix>x<fim_suffix>y<fim_middle>" == prompt


def test_marks_of_the_settings() -> None:
    """A model of no family is served by what somebody has read on its card."""
    marks = FimMarks(prefix="<[p]>", suffix="<[s]>", middle="<[m]>", suffix_first=True)
    template = set_template(FimPolicy(marks=marks))
    assert template is not None
    assert "<[s]>behind<[p]>before<[m]>" == template.prompt("before", "behind")


@pytest.mark.parametrize(("name", "expected"), [("auto", None), ("none", NONE), ("native", NATIVE)])
def test_words_that_are_no_family(name: str, expected: FimTemplate | None) -> None:
    """`auto` leaves it to the engine."""
    assert expected == set_template(FimPolicy.model_validate({"template": name}))


@pytest.mark.parametrize("template", [NATIVE, NONE, *FAMILIES.values(), detect(ids(TOKENISERS["qwen_coder"]))])
def test_a_template_travels_as_text(template: FimTemplate) -> None:
    """What a replica says of its model arrives in the router as it was."""
    assert template == FimTemplate.decode(template.encode())


def test_a_tokeniser_that_knows_no_mark_has_no_family() -> None:
    """To those without bytes of their own, every text that they do not know is one and the same token."""
    assert NONE == detect(dict.fromkeys(TOLD_BY, 3))


def test_a_newer_replica_may_say_more() -> None:
    """While one version replaces another, routers of the old one go on with what they know."""
    newer = '{"name":"qwen_coder","prefix":"<p>","stop":["<s>"],"of_tomorrow":[1]}'
    assert FimTemplate("qwen_coder", "<p>", stop=("<s>",)) == FimTemplate.decode(newer)


def test_every_mark_is_asked_for() -> None:
    """A family of which a mark is not would never be found."""
    assert set() == {mark for one in FAMILIES.values() for mark in one.marks} - set(TOLD_BY)
