"""router.fitting.profiles: an engine's error in our terms."""

import orjson
import pytest

from router.fitting.profiles import PROFILES, Profile

VLLM = PROFILES["vllm"]
UNREAD = "Failed to parse tools: [json.exception.out_of_range.403] key 'name' not found"

TOO_LONG_VLLM = "This model's maximum context length is 2048 tokens. However, you requested 4000 tokens."
TOO_LONG_TEXT = "input (701 tokens) is too large to process. increase the physical batch size (current batch size: 512)"
DEAD_VLLM = "EngineCore encountered an issue. See stack trace (above) for the root cause."
TOO_LONG_LLAMA = "the request exceeds the available context size, try increasing it"


@pytest.mark.parametrize(
    ("status", "body", "code", "our_status", "message", "param"),
    [
        (400, {"error": {"message": TOO_LONG_VLLM}}, "context_length_exceeded", 400, TOO_LONG_VLLM, "messages"),
        (400, {"error": {"message": TOO_LONG_VLLM, "param": "prompt"}}, "context_length_exceeded", 400, TOO_LONG_VLLM,
         "prompt"),
        (400, {"object": "error", "message": TOO_LONG_VLLM}, "context_length_exceeded", 400, TOO_LONG_VLLM, "messages"),
        (400, {"error": {"message": TOO_LONG_LLAMA, "type": "exceed_context_size_error"}}, "context_length_exceeded",
         400, TOO_LONG_LLAMA, "messages"),
        (500, {"error": {"message": "x", "type": "exceed_context_size_error"}}, "context_length_exceeded", 400, "x",
         "messages"),
        (500, {"error": {"message": TOO_LONG_TEXT, "type": "server_error"}}, "context_length_exceeded", 400,
         TOO_LONG_TEXT, "messages"),
        (500, {"error": {"message": UNREAD, "type": "server_error"}}, "invalid_request", 400, UNREAD, "tools"),
        (400, {"error": {"message": "bad n", "param": "n", "code": 400}}, "invalid_request", 400, "bad n", "n"),
        (400, {"error": {"message": "bad n", "param": 7}}, "invalid_request", 400, "bad n", None),
        (400, {"error": "bad n"}, "invalid_request", 400, "bad n", None),
        (400, {"detail": "bad n"}, "invalid_request", 400, "bad n", None),
        (422, {"detail": [{"loc": ["n"]}]}, "invalid_request", 400, "[{'loc': ['n']}]", None),
        (413, {}, "invalid_request", 400, "The engine answered with status 413.", None),
        (401, {"error": "no key"}, "engine_failed", 500, "The engine refused the router's request with status 401.",
         None),
        (403, {"error": "no key"}, "engine_failed", 500, "The engine refused the router's request with status 403.",
         None),
        (404, {"error": {"message": "no model m"}}, "engine_failed", 500,
         "The engine refused the router's request with status 404.", None),
        (405, {}, "engine_failed", 500, "The engine refused the router's request with status 405.", None),
        (429, {"error": {"message": "queue is full"}}, "engine_overloaded", 503, "queue is full", None),
        (502, {}, "engine_overloaded", 503, "The engine answered with status 502.", None),
        (503, {"error": {"message": "Loading model"}}, "engine_overloaded", 503, "Loading model", None),
        (504, {}, "engine_overloaded", 503, "The engine answered with status 504.", None),
        (500, {"error": {"message": "CUDA"}}, "engine_failed", 500, "CUDA", None),
        (500, {"error": {"message": DEAD_VLLM, "code": 500}}, "engine_unavailable", 503, DEAD_VLLM, None),
        (500, {"error": {"message": TOO_LONG_VLLM}}, "engine_failed", 500, TOO_LONG_VLLM, None),
        (204, {}, "engine_failed", 500, "The engine answered with status 204.", None),
        (301, [], "engine_failed", 500, "The engine answered with status 301.", None),
    ],
)  # fmt: skip
def test_read_error(status: int, body: object, code: str, our_status: int, message: str, param: str | None) -> None:
    """The engine's words; our status and code; always marked as the engine's."""
    error = VLLM.read_error(status, orjson.dumps(body))
    assert (code, our_status, message, param) == (error.code, error.status, error.message, error.param)
    assert error.from_engine


@pytest.mark.parametrize("body", [b"", b"Internal Server Error", b"<html>", b"\xff\xfe"])
def test_a_body_that_is_not_json_gives_no_words(body: bytes) -> None:
    """Nobody knows what an engine's plain text contains, so only its status is repeated."""
    assert "The engine answered with status 500." == VLLM.read_error(500, body).message


def test_words_are_cut() -> None:
    """An engine that repeats the prompt in its error does not fill our log."""
    assert 2000 == len(VLLM.read_error(400, orjson.dumps({"error": {"message": "x" * 9000}})).message)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "bad", "code": 400}, "invalid_request"),
        ({"message": "busy", "code": 503}, "engine_overloaded"),
        ({"message": "oh", "code": "internal"}, "engine_failed"),
        ({"message": "oh"}, "engine_failed"),
        ({"message": DEAD_VLLM, "type": "InternalServerError", "code": 500}, "engine_unavailable"),
        ("oh", "engine_failed"),
        (True, "engine_failed"),
    ],
)
def test_read_stream_error(error: object, code: str) -> None:
    """Inside a stream the code is the only status; without one it is a failure."""
    assert code == VLLM.read_stream_error(error).code


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_profiles_are_listed_under_their_own_names(profile: Profile) -> None:
    """A replica names its profile."""
    assert profile is PROFILES[profile.name]
