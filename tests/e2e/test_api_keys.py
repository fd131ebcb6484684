"""API keys at the real door: the three headers, and every way of not having one."""

import pytest
from house import House
from house_files import KEYS
from raw_http import CHAT, ask, post, request

CHAT_BODY = {"model": "simulated", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
NO_KEYS = {
    "none": {},
    "a wrong one as bearer": {"authorization": "Bearer wrong"},
    "a wrong one as x-api-key": {"x_api_key": "wrong"},
    "a wrong one as api-key": {"api_key": "wrong"},
    "an empty bearer": {"authorization": "Bearer "},
    "an empty authorization": {"authorization": ""},
    "an empty x-api-key": {"x_api_key": ""},
    "an empty api-key": {"api_key": ""},
    "the scheme only": {"authorization": "Bearer"},
    "the key without a scheme": {"authorization": KEYS[0]},
    "another scheme": {"authorization": f"Basic {KEYS[0]}"},
    "half of it": {"x_api_key": KEYS[0][:-1]},
    "in capitals": {"x_api_key": KEYS[0].upper()},
    "all of them": {"x_api_key": ", ".join(KEYS)},
    "bytes that are no text": {"x_api_key": "\xff\xfe"},
    "a wrong bearer before a right x-api-key": {"authorization": "Bearer wrong", "x_api_key": KEYS[0]},
}


@pytest.mark.parametrize("headers", [pytest.param(headers, id=what) for what, headers in NO_KEYS.items()])
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/nothing"])
def test_nobody_gets_in_without_a_key(pair: House, path: str, headers: dict[str, str]) -> None:
    """Without an accepted key everything is 401, and the answer does not repeat what was sent."""
    asked = post(CHAT_BODY, **headers) if path == CHAT else request("GET", path, **headers)
    answer = ask(pair.port, asked)
    assert (401, "invalid_api_key", "authentication_error") == (
        answer.status,
        answer.error["code"],
        answer.error["type"],
    )
    assert "x-request-id" in answer.headers
    assert b"wrong" not in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEYS[0]}"},
        {"authorization": f"bearer   {KEYS[1]}"},
        {"x_api_key": KEYS[0]},
        {"api_key": KEYS[1]},
        {"authorization": "", "x_api_key": "", "api_key": KEYS[0]},
    ],
)
def test_a_key_gets_in(pair: House, headers: dict[str, str]) -> None:
    """Either key is accepted in each of the three headers; empty ones do not count."""
    assert [200, 200] == [
        ask(pair.port, post(CHAT_BODY, **headers)).status,
        ask(pair.port, request("GET", "/v1/models", **headers)).status,
    ]


def test_probes_need_no_key(pair: House) -> None:
    """The health of the router is for everybody who reaches it."""
    assert 200 == ask(pair.port, request("GET", "/health")).status


def test_no_log_has_a_key(pair: House) -> None:
    """Neither accepted nor refused keys are in the logs of the routers, or in what the command prints."""
    ask(pair.port, post(CHAT_BODY, x_api_key="refused-and-forgotten"))
    text = pair.output() + pair.replica_logs("router") + pair.replica_logs("simulated")
    assert [] == [key for key in (*KEYS, "refused-and-forgotten") if key in text]
