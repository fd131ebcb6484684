"""router.fim.marks: prompts that clients have made with a model's own marks."""

import pytest

from router.fim.marks import has_marks
from router.fim.template import FAMILIES, ExtraFile

CODE = "def f(x):\n    return x\n" * 100


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_familys_prompt_is_known(family: str) -> None:
    """However long its texts are."""
    template = next(one for name, one in FAMILIES.items() if name == family)
    assert has_marks(template.prompt(CODE, CODE))


def test_other_files_may_stand_before_it() -> None:
    """As Continue has them."""
    assert has_marks(FAMILIES["qwen_coder"].prompt(CODE, CODE, [ExtraFile("a.py", CODE)]))


@pytest.mark.parametrize(
    "prompt", [CODE, "<PRE>" + CODE + "</PRE>", CODE + "[SUFFIX]" + CODE, "", ["<|fim_prefix|>"], [1]]
)
def test_other_prompts_are_not(prompt: object) -> None:
    """HTML and brackets are code like any other, and lists are looked at by nobody."""
    assert not has_marks(prompt)
