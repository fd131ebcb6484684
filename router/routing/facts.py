"""What is known of a request before a model is chosen for it."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from configs.engines.base import Task
from configs.routing import Editor, Language
from router.fim.marks import fills_in
from router.routing.editors import editor_of, user_agent_of
from router.routing.languages import guess_language

BYTES_PER_TOKEN = 4
"""Bytes of a request for each token of its prompt. Copilot's first request in agent mode: 71.6 KB, about 18,000
tokens. Prose in Latin letters has about as many; Chinese has more tokens for its bytes, and base64 too."""

MAX_LOOKED_AT_CHARS = 8_000
"""How much of a prompt's end is looked at for its language, in characters."""

_JSON_FORMATS = frozenset({"json_object", "json_schema"})


@dataclass(frozen=True)
class Facts:
    """
    Facts of one request. Each is gathered when it is first asked for, so a rule costs what it looks at.

    `body` is the request's JSON object of `num_bytes` bytes, whose prompt is in the field `prompt_field`. `headers`
    have names in lower case. `tenant` is the SHA-256 of the API key in hexadecimal, empty where there are no keys.
    `at` is the moment of the request, with its time zone.
    """

    task: Task
    prompt_field: str
    body: Mapping[str, object]
    num_bytes: int
    headers: Sequence[tuple[bytes, bytes]]
    tenant: str
    at: dt.datetime

    @cached_property
    def num_prompt_tokens(self) -> int:
        """An estimate, but for prompts that are given as tokens."""
        return estimate_prompt_tokens(self.body, self.prompt_field, self.num_bytes)

    @cached_property
    def has_tools(self) -> bool:
        return bool(self.body.get("tools") or self.body.get("functions"))

    @cached_property
    def has_images(self) -> bool:
        return any(True for _ in _images(self.body))

    @cached_property
    def is_fim(self) -> bool:
        return fills_in(self.body)

    @cached_property
    def wants_json(self) -> bool:
        return wants_json(self.body)

    @cached_property
    def language(self) -> Language | None:
        return guess_language(_last_texts(self.body, self.prompt_field))

    @cached_property
    def editor(self) -> Editor | None:
        return editor_of(self.headers)

    @cached_property
    def user_agent(self) -> str:
        """In lower case."""
        return user_agent_of(self.headers).decode(errors="replace")

    def hour_in(self, zone: dt.tzinfo) -> int:
        """0 to 23."""
        return self.at.astimezone(zone).hour


def wants_json(body: Mapping[str, object]) -> bool:
    """Whether the answer must be JSON, whatever JSON it may be."""
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and str(wanted.get("type")) in _JSON_FORMATS


def estimate_prompt_tokens(body: Mapping[str, object], prompt_field: str, num_bytes: int) -> int:
    """
    How long a prompt is, without its tokenizer: exact for one that is given as tokens. Of several the longest counts.

    Everything in a request counts, for tools and schemas become part of the prompt. Images and sound do not: what they
    cost depends on the model.
    """
    prompt = body.get(prompt_field)
    first = prompt[0] if isinstance(prompt, list) and prompt else None
    if isinstance(prompt, list) and isinstance(first, int):
        return len(prompt)
    if isinstance(prompt, list) and isinstance(first, list):
        return max(len(part) for part in prompt if isinstance(part, list))
    if isinstance(prompt, list) and isinstance(first, str):
        return max(len(part.encode()) for part in prompt if isinstance(part, str)) // BYTES_PER_TOKEN
    return max(0, num_bytes - sum(map(len, _images(body))) - sum(map(len, _sounds(body)))) // BYTES_PER_TOKEN


def _images(body: Mapping[str, object]) -> Iterator[str]:
    """The addresses of all images in messages, which may hold them whole."""
    for part in parts_of(body):
        if "image" in str(part.get("type")):
            image = part.get("image_url")
            address = image.get("url") if isinstance(image, dict) else image
            yield address if isinstance(address, str) else ""


def _sounds(body: Mapping[str, object]) -> Iterator[str]:
    """All sound in messages, in base64."""
    for part in parts_of(body):
        sound = part.get("input_audio")
        data = sound.get("data") if isinstance(sound, dict) else None
        if isinstance(data, str):
            yield data


def parts_of(body: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Of all messages whose content is not just a text."""
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        yield from (part for part in content if isinstance(part, dict)) if isinstance(content, list) else ()


def _last_texts(body: Mapping[str, object], prompt_field: str) -> Iterator[str]:
    """
    The end of the conversation, last part first, up to MAX_LOOKED_AT_CHARS; of a bare prompt also its beginning.

    What a system prompt names it names for every request, so that does not count.
    """
    prompt = body.get(prompt_field)
    if isinstance(prompt, str):
        yield prompt[-MAX_LOOKED_AT_CHARS // 2 :]
        yield prompt[: -MAX_LOOKED_AT_CHARS // 2][: MAX_LOOKED_AT_CHARS // 2]
        return
    left = MAX_LOOKED_AT_CHARS
    for message in reversed(prompt) if isinstance(prompt, list) else ():
        if not isinstance(message, dict) or message.get("role") in ("system", "developer"):
            continue
        for text in _texts(message.get("content")):
            yield text[-left:]
            left -= len(text)
            if left <= 0:
                return


def _texts(content: object) -> Iterator[str]:
    for part in reversed(content) if isinstance(content, list) else (content,):
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            yield text
