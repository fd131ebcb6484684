"""
Whether two servers of one model are the same to their clients: template, tokens, tool calls, schemas.

Numbers of prompt tokens show a difference of templates or tokenizers, exactly. Greedy text shows one of numerics: two
engines round differently, so that texts part somewhere; how far they agree is told and not judged.
"""

import asyncio
from dataclasses import dataclass

from deployments.conformance import feature_checks
from deployments.conformance.checks import Check, ask
from deployments.conformance.feature_checks import WEATHER
from deployments.conformance.subject import CHAT, COMPLETION, Deviation, JsonObject, Subject

TEXTS: dict[str, str] = {
    "plain": "What is the capital of France?",
    "code": "def f(x):\n\treturn [x ** 2 for x in range(10)]  # äöü\n",
    "other scripts": "東京は日本の首都です。 Москва 🚀",
    "blanks": "  a\n\n\n b   c\t\t",
    "special": "<|im_start|>user<|im_end|></s>[INST]",
}
"""What tokenizers and templates get wrong: leading blanks, other scripts, text that looks like special tokens."""

CHATS: dict[str, list[JsonObject]] = {
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "turns": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "And now?"},
    ],
    **{f"chat, {name}": [{"role": "user", "content": text}] for name, text in TEXTS.items()},
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing that was compared. `is_equal` is None for what is told and not judged."""

    subject: str
    is_equal: bool | None
    first: str
    second: str


async def compare(first: Subject, second: Subject) -> list[Comparison]:
    """Everything that can be compared; a question that one of them does not answer is a difference."""
    found = [await _prompt_tokens(first, second, name, {"messages": chat}, CHAT) for name, chat in CHATS.items()]
    tools: JsonObject = {"messages": CHATS["system"], "tools": [WEATHER], "tool_choice": "auto"}
    found.append(await _prompt_tokens(first, second, "chat with a tool", tools, CHAT))
    for name, text in TEXTS.items():
        found.append(await _prompt_tokens(first, second, f"text, {name}", {"prompt": text}, COMPLETION))
    found += [await _greedy(first, second, name, text) for name, text in TEXTS.items()]
    for question in (feature_checks.forced_tool, feature_checks.named_tool, feature_checks.schema):
        found.append(await _same_outcome(first, second, Check(question)))
    return found


async def _prompt_tokens(first: Subject, second: Subject, name: str, body: JsonObject, path: str) -> Comparison:
    counts = await asyncio.gather(*(_count(each, path, body) for each in (first, second)))
    return Comparison(f"prompt tokens, {name}", counts[0] == counts[1], *counts)


async def _count(subject: Subject, path: str, body: JsonObject) -> str:
    try:
        return str((await subject.ask(path, **body, max_tokens=1))["usage"]["prompt_tokens"])
    except (Deviation, KeyError, TypeError) as error:
        return f"no count: {error}"


async def _greedy(first: Subject, second: Subject, name: str, text: str) -> Comparison:
    answers = await asyncio.gather(*(_text(each, text) for each in (first, second)))
    if answers[0] == answers[1]:
        return Comparison(f"greedy text, {name}", None, "the same", "the same")
    agreed = next((at for at, (a, b) in enumerate(zip(*answers, strict=False)) if a != b), min(map(len, answers)))
    around = slice(max(0, agreed - 10), agreed + 20)
    return Comparison(f"greedy text, {name}", None, *(f"from {agreed}: {each[around]!r}" for each in answers))


async def _text(subject: Subject, text: str) -> str:
    try:
        answer = await subject.chat(text, max_tokens=48, temperature=0, seed=1)
        return str(answer["choices"][0]["message"]["content"])
    except (Deviation, KeyError, IndexError, TypeError) as error:
        return f"no text: {error}"


async def _same_outcome(first: Subject, second: Subject, check: Check) -> Comparison:
    deviations = [await ask(check, each) for each in (first, second)]
    words = ["as promised" if each is None else str(each) for each in deviations]
    return Comparison(check.name.replace("_", " "), (deviations[0] is None) == (deviations[1] is None), *words)
