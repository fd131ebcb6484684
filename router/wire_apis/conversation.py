"""
The messages of a chat completion, put together of what other APIs say. Pure.

Chat templates are strict, each in its own way, so what comes out is what all of them take: one system prompt at the
head, no neighbours with one role, results straight after their calls, texts as strings.
"""

from collections.abc import Iterable

from router.wire_apis.pieces import Json


def text_part(text: str) -> Json:
    return {"type": "text", "text": text}


def image_part(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def tool_call(call_id: str, name: str, arguments: str) -> Json:
    """`arguments` is a JSON text."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class Conversation:
    """Grows message by message, in their order."""

    def __init__(self) -> None:
        self._system: list[str] = []
        self._messages: list[Json] = []
        """With `content` as a list of parts."""
        self._owed: list[Json] = []
        """What the user says next, whoever said it. It must not come between calls and their results."""

    def add_system(self, text: str) -> None:
        """At the head it is the system prompt. Later the user says it: many templates have it nowhere else."""
        if text and self._messages:
            self._owed.append(text_part(f"<system>\n{text}\n</system>"))
        elif text:
            self._system.append(text)

    def add_user(self, parts: Iterable[Json]) -> None:
        said, self._owed = [*self._owed, *parts], []
        if not said:
            return
        if self._messages and self._messages[-1]["role"] == "user":
            self._messages[-1]["content"] += said
        else:
            self._messages.append({"role": "user", "content": said})

    def add_other(self, role: str, parts: Iterable[Json]) -> None:
        """What a role says that no chat template has. The user says it, with a mark."""
        self._owed += [text_part(f"<{role}>"), *parts, text_part(f"</{role}>")]

    def add_found(self, text: str) -> None:
        """What a tool found that the API's own servers ran. The user says it, before what the model made of it."""
        if text:
            self._owed.append(text_part(text))

    def begin_anew(self, summary: str) -> None:
        """All that was said before is in `summary`; the system prompt stays."""
        self._messages = []
        self._owed = [text_part(f"<summary>\n{summary}\n</summary>")]

    def add_result(self, call_id: str, parts: Iterable[Json]) -> None:
        """The result of one call. Its images go on with the user: a tool's message holds only text."""
        listed = list(parts)
        texts = [part for part in listed if part["type"] == "text"]
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": texts})
        images = [part for part in listed if part["type"] != "text"]
        if images:
            self._owed += [text_part(f"From the tool call {call_id}:"), *images]

    def add_assistant(self, parts: Iterable[Json], calls: Iterable[Json] = (), reasoning: str = "") -> None:
        """What the model said, in one message with what it said just before. Reasoning alone is nothing."""
        texts, called = list(parts), list(calls)
        if not (texts or called):
            return
        if not (self._messages and self._messages[-1].get("tool_calls")):
            self.add_user(())
        if not (self._messages and self._messages[-1]["role"] == "assistant"):
            self._messages.append({"role": "assistant", "content": []})
        message = self._messages[-1]
        message["content"] += [part for part in texts if part["text"]]
        if called:
            message["tool_calls"] = [*message.get("tool_calls", []), *called]
        if reasoning:
            message["reasoning_content"] = "\n".join(filter(None, [message.get("reasoning_content"), reasoning]))

    def whole(self) -> list[Json]:
        self.add_user(())
        head = [{"role": "system", "content": "\n".join(self._system)}] if self._system else []
        return [*head, *({**message, "content": _content_of(message["content"])} for message in self._messages)]


def _content_of(parts: list[Json]) -> str | list[Json]:
    """
    Texts alone become one string: not every chat template takes parts.

    Engines join the texts of several parts with a line's end, so that is how they are joined here.
    """
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts
