"""Rules for Ollama's own API."""

import re

import orjson

from deployments.editors.step import Answer, Fault

_OLDEST = (0, 6, 4)


def new_enough(answer: Answer) -> None:
    """VS Code's built-in provider wants 0.6.4 or later, or exactly 0.0.0."""
    version = str(answer.document.get("version"))
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if not numbers or (numbers < _OLDEST and version != "0.0.0"):
        raise Fault(f"the version is {version!r}; VS Code refuses those before 0.6.4")


def lists_tags(answer: Answer) -> None:
    models = answer.document.get("models")
    if not isinstance(models, list) or not models:
        raise Fault("the list of models is empty")
    if not all(isinstance(model.get("model"), str) for model in models):
        raise Fault(f"a model has no `model`: {answer.shown}")


def shows_abilities(answer: Answer) -> None:
    """Without them VS Code offers no tools and takes 32768 tokens for the context."""
    document = answer.document
    if not isinstance(document.get("capabilities"), list):
        raise Fault("`capabilities` is no list")
    info = document.get("model_info") or {}
    family = info.get("general.architecture")
    if not isinstance(info.get(f"{family}.context_length"), int):
        raise Fault("model_info has no context_length: VS Code takes 32768 for granted")


def ndjson_ends(answer: Answer) -> None:
    """One object a line; the last one is done and has the counts."""
    try:
        objects = [orjson.loads(line) for line in answer.body.splitlines() if line.strip()]
    except orjson.JSONDecodeError:
        raise Fault(f"a line is no JSON: {answer.shown}") from None
    if not objects or objects[-1].get("done") is not True:
        raise Fault("the last line does not say that it is done")
    if not isinstance(objects[-1].get("eval_count"), int):
        raise Fault("the last line has no eval_count")
    texts = [one.get("response") or (one.get("message") or {}).get("content") or "" for one in objects]
    calls = [call for one in objects for call in (one.get("message") or {}).get("tool_calls") or []]
    if not "".join(texts) and not calls:
        raise Fault("the answer has no words and no calls of tools")
    if not all(isinstance(call["function"]["arguments"], dict) for call in calls):
        raise Fault("arguments of a tool call are no object")
