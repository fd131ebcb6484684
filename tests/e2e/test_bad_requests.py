"""Requests that are valid HTTP and nothing else: each is answered with its own status, code and field."""

import json
from dataclasses import dataclass

import pytest
from house import House
from raw_http import CHAT, RawAnswer, ask, chunked, post, request

TEXT = "/v1/completions"
MESSAGES = [{"role": "user", "content": "Say hello."}]
MIB = 2**20


def chat(**fields: object) -> bytes:
    """A good chat, with some of its fields changed; None leaves a field out."""
    body = {"model": "smollm2", "messages": MESSAGES, "max_tokens": 2} | fields
    return post({name: value for name, value in body.items() if value is not None})


def text(**fields: object) -> bytes:
    """A good completion, with some of its fields changed; None leaves a field out."""
    body = {"model": "smollm2", "prompt": "One, two,", "max_tokens": 2} | fields
    return post({name: value for name, value in body.items() if value is not None}, TEXT)


def message(**fields: object) -> bytes:
    return chat(messages=[fields])


@dataclass(frozen=True, slots=True)
class Bad:
    """A bad request, and what has to be said of it."""

    what: str
    request: bytes
    status: int = 400
    code: str = "invalid_request"
    param: str | None = None


BODIES = [
    Bad("an empty body", post(b"")),
    Bad("no body at all", request("POST", CHAT)),
    Bad("blanks only", post(b" \r\n\t ")),
    Bad("truncated JSON", post(b'{"model": "smollm2", "messages": [{"role": "us')),
    Bad("something after the JSON", post(b'{"model": "smollm2"} {}')),
    Bad("a comment in the JSON", post(b'{"model": "smollm2" /* this one */}')),
    Bad("single quotes", post(b"{'model': 'smollm2'}")),
    Bad("NaN", post(b'{"model": "smollm2", "temperature": NaN}')),
    Bad("invalid UTF-8", post(b'{"model": "smollm2", "messages": [{"role": "user", "content": "\xff\xfe"}]}')),
    Bad("UTF-16", post('{"model": "smollm2"}'.encode("utf-16"))),
    Bad("a NUL byte in a string", post(b'{"model": "smol\x00lm2"}')),
    Bad("a NUL byte after the JSON", post(b'{"model": "smollm2"}\x00')),
    Bad("an array", post([])),
    Bad("a string", post("smollm2")),
    Bad("a number", post(1)),
    Bad("null", post(b"null")),
    Bad("a form", post(b"model=smollm2&prompt=hello", content_type="application/x-www-form-urlencoded")),
    Bad("2000 nested arrays", post(b'{"model":"smollm2","messages":' + b"[" * 2000 + b"]" * 2000 + b"}")),
    Bad("100 nested arrays for messages", post(b'{"model":"smollm2","messages":' + b"[" * 100 + b"]" * 100 + b"}"),
        param="messages[0]"),
    Bad("20 MB, declared", post(b" " * 20 * MIB), 413, "request_too_large"),
    Bad("20 MB in chunks", request("POST", CHAT, chunked(b" " * 20 * MIB, MIB), transfer_encoding="chunked"), 413,
        "request_too_large"),
]  # fmt: skip

MODELS = [
    Bad("no model", chat(model=None), param="model"),
    Bad("null for a model", post({"model": None, "messages": MESSAGES}), param="model"),
    Bad("an empty model", chat(model=""), param="model"),
    Bad("a number for a model", chat(model=7), param="model"),
    Bad("an object for a model", chat(model={"name": "smollm2"}), param="model"),
    Bad("a model in other letters", chat(model="SmolLM2"), 404, "model_not_found", "model"),
    Bad("an unknown model", chat(model="gpt-5"), 404, "model_not_found", "model"),
    Bad("an unknown model, completed", text(model="gpt-5"), 404, "model_not_found", "model"),
    Bad("a model's name of 100 kB", chat(model="m" * 100_000), 404, "model_not_found", "model"),
    Bad("a path for a model", chat(model="../../etc/passwd"), 404, "model_not_found", "model"),
    Bad("the last of two models", post(b'{"model": "smollm2", "model": "gpt-5", "messages": [{"role": "user", '
        b'"content": "hi"}]}'), 404, "model_not_found", "model"),
]  # fmt: skip

MESSAGE_LISTS = [
    Bad("no messages", chat(messages=None), param="messages"),
    Bad("empty messages", chat(messages=[]), param="messages"),
    Bad("a string for messages", chat(messages="hello"), param="messages"),
    Bad("an object for messages", chat(messages=MESSAGES[0]), param="messages"),
    Bad("a string for a message", chat(messages=["hello"]), param="messages[0]"),
    Bad("null for the second message", chat(messages=[*MESSAGES, None]), param="messages[1]"),
    Bad("no role", message(content="hi"), param="messages[0].role"),
    Bad("an empty role", message(role="", content="hi"), param="messages[0].role"),
    Bad("a number for a role", message(role=1, content="hi"), param="messages[0].role"),
    Bad("no content", message(role="user"), param="messages[0].content"),
    Bad("a number for content", message(role="user", content=5), param="messages[0].content"),
    Bad("an object for content", message(role="user", content={"text": "hi"}), param="messages[0].content"),
    Bad("strings for parts", message(role="user", content=["hi"]), param="messages[0].content"),
    Bad("a conversation that does not fit", message(role="user", content="word " * 2000),
        code="context_length_exceeded", param="messages"),
]  # fmt: skip

PROMPTS = [
    Bad("no prompt", text(prompt=None), param="prompt"),
    Bad("a number for a prompt", text(prompt=5), param="prompt"),
    Bad("an object for a prompt", text(prompt={"text": "hi"}), param="prompt"),
    Bad("an empty array for a prompt", text(prompt=[]), param="prompt"),
    Bad("mixed types in a prompt", text(prompt=["hi", 5]), param="prompt"),
    Bad("messages for a prompt", post({"model": "smollm2", "messages": MESSAGES}, TEXT), param="prompt"),
    Bad("a prompt that does not fit", text(prompt="word " * 2000), code="context_length_exceeded", param="prompt"),
]

NUMBERS = [
    Bad("zero max_tokens", chat(max_tokens=0), param="max_tokens"),
    Bad("negative max_tokens", chat(max_tokens=-1), param="max_tokens"),
    Bad("half a token", chat(max_tokens=1.5), param="max_tokens"),
    Bad("a string for max_tokens", chat(max_tokens="10"), param="max_tokens"),
    Bad("a boolean for max_tokens", chat(max_tokens=True), param="max_tokens"),
    Bad("2**31 max_tokens", chat(max_tokens=2**31), param="max_tokens"),
    Bad("10**30 max_tokens", chat(max_tokens=10**30), param="max_tokens"),
    Bad("zero max_tokens, completed", text(max_tokens=0), param="max_tokens"),
    Bad("zero max_completion_tokens", chat(max_completion_tokens=0), param="max_completion_tokens"),
    Bad("a temperature below 0", chat(temperature=-0.1), param="temperature"),
    Bad("a temperature above 2", chat(temperature=2.1), param="temperature"),
    Bad("a string for temperature", chat(temperature="hot"), param="temperature"),
    Bad("a top_p above 1", chat(top_p=1.5), param="top_p"),
    Bad("a presence_penalty below -2", chat(presence_penalty=-3), param="presence_penalty"),
    Bad("a frequency_penalty above 2", chat(frequency_penalty=3), param="frequency_penalty"),
    Bad("n of 0", chat(n=0), param="n"),
    Bad("n of 1000", chat(n=1000), param="n"),
    Bad("a string for seed", chat(seed="abc"), param="seed"),
    Bad("21 top_logprobs", chat(logprobs=True, top_logprobs=21), param="top_logprobs"),
]

OTHER_FIELDS = [
    Bad("a string for stream", chat(stream="yes"), param="stream"),
    Bad("an array for stream_options", chat(stream=True, stream_options=[]), param="stream_options"),
    Bad("a number for stop", chat(stop=5), param="stop"),
    Bad("numbers in stop", chat(stop=["a", 5]), param="stop"),
    Bad("an object for tools", chat(tools={}), param="tools"),
    Bad("a string for response_format", chat(response_format="json"), param="response_format"),
    Bad("a format that no engine knows", chat(response_format={"type": "xml"}), param="response_format.type"),
    Bad(
        "a schema that is not there",
        chat(response_format={"type": "json_schema", "json_schema": {"name": "a"}}),
        param="response_format.json_schema.schema",
    ),
    Bad("a number for user", chat(user=5), param="user"),
    Bad("an array for logit_bias", chat(logit_bias=[]), param="logit_bias"),
    Bad("a number for suffix", text(suffix=5), param="suffix"),
    Bad("an echo, which llama.cpp has not", text(echo=True), code="unsupported_parameter", param="echo"),
    Bad("the best of two texts, which it makes one of", text(best_of=2), code="unsupported_parameter", param="best_of"),
]

ROUTES = [
    Bad("GET of a chat", request("GET", CHAT), 405, "method_not_allowed"),
    Bad("PUT of a chat", request("PUT", CHAT, content_length="0"), 405, "method_not_allowed"),
    Bad("DELETE of a completion", request("DELETE", TEXT), 405, "method_not_allowed"),
    Bad("POST of the models", post({}, "/v1/models"), 405, "method_not_allowed"),
    Bad("DELETE of a model", request("DELETE", "/v1/models/smollm2"), 405, "method_not_allowed"),
    Bad("POST of the health", post({}, "/health"), 405, "method_not_allowed"),
    Bad("a method that nobody knows", request("PROPFIND", CHAT), 405, "method_not_allowed"),
    Bad("an unknown model's card", request("GET", "/v1/models/gpt-5"), 404, "model_not_found", "model"),
    Bad("beside the root", request("GET", "/v2"), 404, "not_found"),
    Bad("an unknown path", request("GET", "/v2/models"), 404, "not_found"),
    Bad("a chat without /v1", post({}, "/chat/completions"), 404, "not_found"),
    Bad("a chat below a chat", post({}, CHAT + "/cancel"), 404, "not_found"),
    Bad("a route that is not served", post({}, "/v1/images/generations"), 404, "not_found"),
    Bad("the engine's own metrics", request("GET", "/metrics"), 404, "not_found"),
    Bad("a way out of the path", request("GET", "/v1/../../etc/passwd"), 404, "not_found"),
]

BAD_REQUESTS = [*BODIES, *MODELS, *MESSAGE_LISTS, *PROMPTS, *NUMBERS, *OTHER_FIELDS, *ROUTES]


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.what) for bad in BAD_REQUESTS])
def test_a_bad_request_is_answered_with_its_status_and_code(laptop: House, bad: Bad) -> None:
    """A bad request gets its exact status, code and field, in OpenAI's envelope, and the request id sent."""
    head, _, body = bad.request.partition(b"\r\n\r\n")
    answer = ask(laptop.port, head + b"\r\nx-request-id: bad-one\r\n\r\n" + body)
    assert (bad.status, bad.code, bad.param) == (answer.status, answer.error["code"], answer.error["param"])
    assert "bad-one" == answer.headers["x-request-id"]
    assert "application/json" == answer.headers["content-type"]
    assert isinstance(answer.error["message"], str)
    assert answer.error["message"] != ""


def test_a_bad_stream_is_refused_before_it_begins(laptop: House) -> None:
    """A fault in a request for a stream is an ordinary status, not an event."""
    answer = ask(laptop.port, chat(stream=True, messages=[{"role": "user", "content": "word " * 2000}]))
    assert (400, "context_length_exceeded") == (answer.status, answer.error["code"])


GOOD = {"model": "smollm2", "messages": MESSAGES, "max_tokens": 1}
LOOKS_BAD = {
    "an unknown field": chat(mirostat_mood="sunny"),
    "a user": chat(user="someone"),
    "the edges of ranges": chat(temperature=0, top_p=1, n=1, seed=-1, stop=[], logit_bias={}),
    "a wrong content type": post(GOOD, content_type="text/plain"),
    "no content type": post(GOOD, content_type=""),
    "blanks around the JSON": post(b"\r\n " + json.dumps(GOOD).encode() + b"\n"),
    "an unknown role": message(role="wizard", content="hi"),
    "an escaped NUL": message(role="user", content="hi\0"),
    "half a character": post(json.dumps(GOOD).encode().replace(b'"content": "', b'"content": "\\ud83d')),
    "a mark of the byte order": post(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()),
    "the last of two models": post(b'{"model":"gpt-5",' + json.dumps(GOOD).encode()[1:]),
    "max_tokens far above the context": chat(max_tokens=2**31 - 1, stop=["e", "o", " "]),
}


@pytest.mark.parametrize("good", [pytest.param(good, id=what) for what, good in LOOKS_BAD.items()])
def test_what_only_looks_bad_is_answered(laptop: House, good: bytes) -> None:
    """Requests at the edge of what is allowed are served."""
    answer = ask(laptop.port, good)
    assert 200 == answer.status, answer.body


def test_a_wrong_method_is_told_the_right_one(laptop: House) -> None:
    """405 comes with `allow`."""
    answers = {path: ask(laptop.port, request("PATCH", path)) for path in (CHAT, "/v1/models")}
    assert {CHAT: "POST", "/v1/models": "GET"} == {path: answer.headers["allow"] for path, answer in answers.items()}


def test_an_odd_request_id_is_replaced(laptop: House) -> None:
    """A request id that could not be put into a log is not repeated; the answer has one of the router's own."""
    answers = [ask(laptop.port, request("GET", CHAT, x_request_id=given)) for given in ("<script>", "x" * 200, "")]
    assert [True] * 3 == [answer.headers["x-request-id"].startswith("req-") for answer in answers]


def test_an_error_says_nothing_of_the_inside(laptop: House) -> None:
    """Messages hold no path, no module and no trace."""
    answers: list[RawAnswer] = [ask(laptop.port, bad.request) for bad in BODIES[:4]]
    assert [] == [answer for answer in answers if b"Traceback" in answer.body or b".py" in answer.body]
