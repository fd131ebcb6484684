"""
The prompt as the engine sees it, and the answer that it asks for.

The template writes `<role>content` for each message, `<tools:N>` where there are tools, and ends in `<assistant>`.
A token is one character. The last of these words in the prompt decides on the answer:

    SAY:text      the rest of the rendered prompt, the template's tail included; what was recorded was made so.
    ANSWER:text   exactly the rest of the last message.
    CALL:f {...}  a call of the tool f, in the tags of Qwen 3.
    ERR:          three tokens, then the request fails.
    CRASH:        three tokens, then the executor is broken.

Without one it is a sentence, picked by the seed.
"""

import json
import re
from typing import Any

from generation import CppExecutorError, RequestError, Script

SENTENCES = (
    "hello from a server that stands in for another.",
    "here is a second sentence, for another seed.",
    "here is a third one, and there are no more.",
)

_DIRECTIVE = re.compile(r"(SAY|ANSWER|CALL|ERR|CRASH):")


def text_of(content: Any) -> str:
    """The text of a message's content: a string, a list of parts, or None."""
    if isinstance(content, list):
        return "".join(part.get("text", f"<{part.get('type')}>") for part in content)
    return content or ""


def render(messages: list[dict[str, Any]], num_tools: int = 0, *, has_generation_prompt: bool = True) -> str:
    parts = [f"<tools:{num_tools}>"] if num_tools else []
    for message in messages:
        parts.append(f"<{message['role']}>{text_of(message.get('content'))}")
        if calls := message.get("tool_calls"):
            parts.append(json.dumps([_with_parsed_arguments(call) for call in calls]))
    return "".join(parts) + ("<assistant>" if has_generation_prompt else "")


def _with_parsed_arguments(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    return call | {"function": function | {"arguments": arguments}}


def script_of(prompt: str, last_content: str, *, n: int, seed: int) -> Script:
    """
    Args:
        prompt: rendered.
        last_content: of the last message; for a prompt without messages, the prompt.
    """
    found = list(_DIRECTIVE.finditer(prompt))
    if not found:
        return Script(tuple(SENTENCES[(seed + index) % len(SENTENCES)] for index in range(n)))
    rest = prompt[found[-1].end() :].replace("\\n", "\n")
    directive = found[-1][1]
    answer = last_content.rpartition(f"{directive}:")[2].replace("\\n", "\n")
    if directive == "ERR":
        return Script((prompt[found[-1].start() :],) * n, RequestError("scripted engine failure"))
    if directive == "CRASH":
        return Script((prompt[found[-1].start() :],) * n, CppExecutorError("scripted executor failure"))
    if directive == "CALL":
        name, _, arguments = answer.partition(" ")
        rest = f'<tool_call>\n{{"name": "{name}", "arguments": {arguments or "{}"}}}\n</tool_call>'
    elif directive == "ANSWER":
        rest = answer
    return Script((rest,) * n)
