"""
A request to the simulated engine, checked and turned into what is to be generated.

Without `max_tokens` a chat is 64 tokens long and ends with `stop`, as if the model had finished; a plain completion is
16 tokens long (OpenAI's default). With it an answer has exactly that many tokens and ends with `length`, unless one of
the `stop` strings comes first.

A chat with `continue_final_message: true` and `add_generation_prompt: false` goes on with its last message, as on vLLM,
and a text that ends with the beginning of its answer goes on with the rest: the same text as without the interruption.
"""

from dataclasses import dataclass
from typing import Literal

import orjson

from deployments.engines.simulated import tokens as simulated_tokens

DEFAULT_CHAT_TOKENS = 64
DEFAULT_COMPLETION_TOKENS = 16
MAX_CHOICES = 128

Json = dict[str, object]
Failure = Literal["cut", "error", "hang", "exit", "half_event", "dead"]
_FAILURES: tuple[Failure, ...] = ("cut", "error", "hang", "exit", "half_event", "dead")


class ApiError(Exception):
    """An answer in vLLM's error shape."""

    def __init__(self, status: int, message: str, *, kind: str = "BadRequestError", param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.param = status, message, kind, param

    def body(self) -> bytes:
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.status}
        return orjson.dumps({"error": error})


@dataclass(frozen=True, slots=True)
class Command:
    """What a request's `simulated` field asks for: another pace or length, or a failure after so many tokens."""

    status: int | None = None
    is_refused: bool = False
    failure: Failure | None = None
    num_tokens_before_failure: int = 0
    num_tokens: int | None = None
    prefill_base_ms: float | None = None
    inter_token_ms: float | None = None
    tag: str | None = None
    """The answer's tokens are to be numbered, and to begin with these two letters or digits."""


_NO_COMMAND = Command()


@dataclass(frozen=True, slots=True)
class Choice:
    text: str
    """Four characters a token; the last token may be shorter, cut by a stop string."""
    finish_reason: Literal["length", "stop"]
    stop_reason: str | None = None
    """Which of the request's stop strings ended it."""

    @property
    def num_tokens(self) -> int:
        return simulated_tokens.count(self.text)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    is_chat: bool
    is_stream: bool
    has_usage_chunk: bool
    prompts: tuple[str, ...]
    num_prompt_tokens: int
    choices: tuple[Choice, ...]
    """`n` for each prompt, in the prompts' order."""
    command: Command


def parse_json(body: bytes) -> Json:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError(400, "the body must be a JSON object")
    return value


def parse_generation(body: bytes, *, is_chat: bool, model: str, max_model_len: int) -> GenerationRequest:
    """
    Raises:
        ApiError: 404 for another model's name; 400 for everything else that vLLM refuses.
    """
    fields = parse_json(body)
    check_model(fields, model)
    _check_sampling(fields)
    command = read_command(fields)
    prompts = (chat_prompt(fields),) if is_chat else _prompts(fields)
    num_prompt_tokens = max(simulated_tokens.count(prompt) for prompt in prompts)
    num_tokens, is_finished = _length(fields, command, is_chat=is_chat)
    if num_tokens is None:
        num_tokens = min(
            DEFAULT_CHAT_TOKENS if is_chat else DEFAULT_COMPLETION_TOKENS, max_model_len - num_prompt_tokens
        )
    _check_context(num_prompt_tokens, num_tokens, max_model_len)
    num_choices = _integer(fields, "n", 1, minimum=1, maximum=MAX_CHOICES)
    seed = _integer(fields, "seed", 0)
    if is_finished and len(prompts) == 1:  # the model ends by itself, so what it has said already counts
        num_tokens = max(1, num_tokens - _num_said(command, prompts[0], seed))
    stops = _stops(fields)
    is_stream = fields.get("stream") is True
    return GenerationRequest(
        is_chat=is_chat,
        is_stream=is_stream,
        has_usage_chunk=_has_usage_chunk(fields, is_stream=is_stream),
        prompts=prompts,
        num_prompt_tokens=sum(simulated_tokens.count(prompt) for prompt in prompts),
        choices=tuple(
            _choice(_text(command, prompt, seed, index, num_tokens), stops, is_finished=is_finished)
            for prompt in prompts
            for index in range(num_choices)
        ),
        command=command,
    )


def _text(command: Command, prompt: str, seed: int, choice: int, num_tokens: int) -> str:
    if command.tag is not None:
        return simulated_tokens.numbered_answer(command.tag, prompt, num_tokens)
    return simulated_tokens.answer(prompt, seed, choice, num_tokens)


def _num_said(command: Command, prompt: str, seed: int) -> int:
    """Tokens at the prompt's end that are the beginning of its answer."""
    if command.tag is not None:
        return simulated_tokens.num_numbered(command.tag, prompt)
    return simulated_tokens.num_answered(prompt, seed, 0)


def check_model(fields: Json, model: str) -> None:
    name = fields.get("model", model)
    if name != model:
        raise ApiError(404, f"The model `{name}` does not exist.", kind="NotFoundError", param="model")


def chat_prompt(fields: Json) -> str:
    """The conversation as one text; a longer conversation starts with the text of the shorter one."""
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages must be a non-empty list", param="messages")
    begun = begun_answer(fields)
    if begun is not None:
        messages = messages[:-1]
    parts = [f"<|tools|>\n{orjson.dumps(fields['tools']).decode()}\n"] if fields.get("tools") else []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ApiError(400, "each message must be an object with a role", param="messages")
        calls = message.get("tool_calls")
        called = orjson.dumps(calls).decode() if calls else ""
        parts.append(f"<|{message['role']}|>\n{_content(message.get('content'))}{called}\n")
    parts.append("<|assistant|>\n" + (begun or ""))
    return "".join(parts)


def begun_answer(fields: Json) -> str | None:
    """The last message of a chat, where that is to be continued and not answered."""
    if fields.get("continue_final_message") is not True:
        return None
    if fields.get("add_generation_prompt", True) is not False:
        message = "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
        raise ApiError(400, message, param="continue_final_message")
    messages = fields.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or not isinstance(last.get("content"), str):
        raise ApiError(400, "continue_final_message needs a last message with a text", param="messages")
    return str(last["content"])


def _content(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise ApiError(400, "content must be a string or a list of parts", param="messages")
    texts: list[str] = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ApiError(400, "only text parts are understood: this is not a multimodal model", param="messages")
        texts.append(part["text"])
    return "".join(texts)


def _prompts(fields: Json) -> tuple[str, ...]:
    prompt = fields.get("prompt")
    if isinstance(prompt, str):
        return (prompt,)
    if isinstance(prompt, list) and prompt:
        if all(isinstance(item, str) for item in prompt):
            return tuple(prompt)
        if _are_ids(prompt):
            return (simulated_tokens.text_of_ids(prompt),)
        if all(_are_ids(item) for item in prompt):
            return tuple(simulated_tokens.text_of_ids(item) for item in prompt)
    raise ApiError(400, "prompt must be a string, a list of token ids, or a list of either", param="prompt")


def _are_ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _length(fields: Json, command: Command, *, is_chat: bool) -> tuple[int | None, bool]:
    """How many tokens were asked for, and whether the model then ends by itself."""
    if command.num_tokens is not None:
        return command.num_tokens, True
    name = "max_completion_tokens" if is_chat and fields.get("max_completion_tokens") is not None else "max_tokens"
    if fields.get(name) is None:
        return None, is_chat
    return _integer(fields, name, 0, minimum=1), False


def _check_context(num_prompt_tokens: int, num_tokens: int, max_model_len: int) -> None:
    if num_prompt_tokens >= max_model_len:
        raise ApiError(
            400,
            f"This model's maximum context length is {max_model_len} tokens. However, your request has"
            f" {num_prompt_tokens} input tokens. Please reduce the length of the input messages.",
            param="input_tokens",
        )
    if num_prompt_tokens + num_tokens > max_model_len:
        raise ApiError(
            400,
            f"'max_tokens' or 'max_completion_tokens' is too large: {num_tokens}. This model's maximum context length"
            f" is {max_model_len} tokens and your request has {num_prompt_tokens} input tokens"
            f" ({num_tokens} > {max_model_len} - {num_prompt_tokens}).",
            param="max_tokens",
        )


def _choice(text: str, stops: tuple[str, ...], *, is_finished: bool) -> Choice:
    found = [(position, stop) for stop in stops if (position := text.find(stop)) >= 0]
    if found:
        position, stop = min(found)
        return Choice(text[:position], "stop", stop)
    return Choice(text, "stop" if is_finished else "length")


def _stops(fields: Json) -> tuple[str, ...]:
    stop = fields.get("stop")
    if stop is None:
        return ()
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(item, str) and item for item in stops):
        raise ApiError(400, "stop must be a non-empty string or a list of them", param="stop")
    return tuple(stops)


def _has_usage_chunk(fields: Json, *, is_stream: bool) -> bool:
    options = fields.get("stream_options")
    if options is None:
        return False
    if not is_stream:
        raise ApiError(400, "Stream options can only be defined when `stream=True`.", param="stream_options")
    if not isinstance(options, dict):
        raise ApiError(400, "stream_options must be an object", param="stream_options")
    return options.get("include_usage") is True


def _check_sampling(fields: Json) -> None:
    if not isinstance(fields.get("stream", False), bool | None):
        raise ApiError(400, "stream must be true or false", param="stream")
    temperature = _number(fields, "temperature", 1.0)
    if temperature < 0:
        raise ApiError(400, f"temperature must be non-negative, got {temperature}.", param="temperature")
    top_p = _number(fields, "top_p", 1.0)
    if not 0 < top_p <= 1:
        raise ApiError(400, f"top_p must be in (0, 1], got {top_p}.", param="top_p")


def _number(fields: Json, name: str, default: float) -> float:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(400, f"{name} must be a number", param=name)
    return value


def _integer(fields: Json, name: str, default: int, *, minimum: int | None = None, maximum: int | None = None) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise ApiError(400, f"{name} must be an integer", param=name)
    if minimum is not None and value < minimum:
        raise ApiError(400, f"{name} must be at least {minimum}, got {value}.", param=name)
    if maximum is not None and value > maximum:
        raise ApiError(400, f"{name} must be at most {maximum}, got {value}.", param=name)
    return value


def read_command(fields: Json) -> Command:
    """Unknown keys are errors: a failure that was misspelt would be a test that tests nothing."""
    wishes = fields.get("simulated")
    if wishes is None:
        return _NO_COMMAND
    if not isinstance(wishes, dict):
        raise ApiError(400, "simulated must be an object", param="simulated")
    known = {"status", "refuse", "num_tokens", "prefill_base_ms", "inter_token_ms", "numbered"}
    known |= {f"{failure}_after_tokens" for failure in _FAILURES}
    if unknown := wishes.keys() - known:
        raise ApiError(400, f"simulated has unknown keys: {', '.join(sorted(unknown))}", param="simulated")
    failures = [failure for failure in _FAILURES if f"{failure}_after_tokens" in wishes]
    if len(failures) > 1:
        raise ApiError(400, "simulated asks for more than one failure", param="simulated")
    failure = failures[0] if failures else None
    return Command(
        status=_integer(wishes, "status", 0, minimum=400, maximum=599) or None,
        is_refused=wishes.get("refuse") is True,
        failure=failure,
        num_tokens_before_failure=_integer(wishes, f"{failure}_after_tokens", 0, minimum=0),
        num_tokens=_integer(wishes, "num_tokens", 0, minimum=1) or None,
        prefill_base_ms=_pace(wishes, "prefill_base_ms"),
        inter_token_ms=_pace(wishes, "inter_token_ms"),
        tag=_tag(wishes),
    )


def _tag(wishes: Json) -> str | None:
    tag = wishes.get("numbered")
    if tag is None:
        return None
    if not isinstance(tag, str) or len(tag) != simulated_tokens.NUM_TAG_CHARS or not (tag.isascii() and tag.isalnum()):
        raise ApiError(
            400, "numbered must be two letters or digits, which each token is to begin with", param="simulated"
        )
    return tag


def _pace(wishes: Json, name: str) -> float | None:
    value = _number(wishes, name, -1.0)
    if value < 0 and name in wishes:
        raise ApiError(400, f"{name} must not be negative", param="simulated")
    return value if value >= 0 else None
