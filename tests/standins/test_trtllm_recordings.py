"""The stand-in of `trtllm-serve` against what was recorded of the real one, 1.3.0rc3 on a scripted engine."""

import ast
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from trtllm_process import Answer, StandinProcess

RECORDED = Path(__file__).parent / "recorded"
TRANSCRIPTS: dict[str, Any] = json.loads((RECORDED / "trtllm_serve.transcripts.json").read_bytes())["transcripts"]
BEHAVIOURS: dict[str, Any] = json.loads((RECORDED / "trtllm_serve.behaviours.json").read_bytes())["behaviours"]

OTHER_TRANSCRIPTS: dict[str, str] = {}
"""Transcripts that the stand-in does not repeat, and why."""

OTHER_BEHAVIOURS = {
    "chat/n_0": "recorded from the model alone; the stand-in's engine refuses it",
    "chat/max_tokens_-1": "recorded from the model alone; the stand-in's engine refuses it",
    "error_body": "an inner object, which every recorded error shows on the wire",
    "stream_chunk_dump": "an inner object, which no route writes with its nulls",
    "stream_chunk_dump_exclude_unset": "an inner object, which no route writes without its id",
}
"""Behaviours that cannot be compared over HTTP as they were recorded, and why."""


@pytest.mark.parametrize("name", [name for name in TRANSCRIPTS if name not in OTHER_TRANSCRIPTS])
def test_a_recorded_exchange_is_repeated(name: str, shared_trtllm: StandinProcess) -> None:
    """The answer is the recorded one to the byte, but for ids and times."""
    recorded = TRANSCRIPTS[name]
    request, expected = recorded["request"], recorded["response"]
    actual = shared_trtllm.request(request["method"], request["path"], request["body"])
    if name == "GET /openapi.json":
        assert expected["body"] == sorted(actual.json()["paths"])
    else:
        assert normalised(expected["body"]) == normalised(actual.body)
    assert (expected["status"], "transport_error" in expected) == (actual.status, actual.is_cut)
    assert expected["headers"] == {name: actual.headers.get(name) for name in expected["headers"]}


@pytest.mark.parametrize("name", [name for name in TRANSCRIPTS if TRANSCRIPTS[name]["response"]["status"] == 200])
def test_ids_repeat_where_they_did(name: str, shared_trtllm: StandinProcess) -> None:
    """A stream has as many different ids, and as often each, as the recorded one had."""
    request, expected = TRANSCRIPTS[name]["request"], TRANSCRIPTS[name]["response"]["body"]
    actual = shared_trtllm.request(request["method"], request["path"], request["body"])
    assert id_counts(str(expected)) == id_counts(actual.body)


@pytest.mark.parametrize(
    "name", [name for name in BEHAVIOURS if name not in OTHER_BEHAVIOURS and not name.startswith("asgi")]
)
def test_a_recorded_request_is_taken_or_refused(name: str, shared_trtllm: StandinProcess) -> None:
    """What the real request models take is answered, and what they refuse is refused in their words."""
    recorded = BEHAVIOURS[name]
    actual = shared_trtllm.request("POST", recorded["path"], recorded["body"])
    error = recorded.get("error")
    if error is None:
        assert (200, None) == (actual.status, actual.json().get("message"))
    elif isinstance(error, str):
        assert (400, error) == (actual.status, f"ValueError: {actual.json()['message']}")
    else:
        assert recorded_refusals(error) == refusals(actual)


@pytest.mark.parametrize("name", [name for name in BEHAVIOURS if name.startswith("asgi")])
def test_a_recorded_route_answers(name: str, shared_trtllm: StandinProcess) -> None:
    """Status and body are those of the real application."""
    recorded = BEHAVIOURS[name]
    actual = shared_trtllm.request(recorded["method"], recorded["path"], recorded["body"])
    expected = recorded["response"]
    body = normalised(expected["body"]).replace('"id":"m"', '"id":"fake-model"')
    assert (expected["status"], body) == (actual.status, normalised(actual.body))


def test_the_lists_of_exceptions_are_current() -> None:
    """Only what was recorded can be excepted."""
    assert set() == (OTHER_TRANSCRIPTS.keys() - TRANSCRIPTS.keys()) | (OTHER_BEHAVIOURS.keys() - BEHAVIOURS.keys())


def normalised(body: str) -> str:
    """Without what differs between two runs: ids and times."""
    body = re.sub(r"\b((?:chatcmpl-tool|chatcmpl|cmpl)-|resp_|msg_)[0-9a-f]{32}", r"\1ID", body)
    return re.sub(r'("created(?:_at)?":)\d+(\.\d+)?', r"\1TIME\2", body)


def id_counts(body: str) -> list[int]:
    return sorted(Counter(re.findall(r"[-_][0-9a-f]{32}", body)).values())


Refusal = tuple[str, str, str]
"""Place, kind and message."""


def recorded_refusals(lines: list[str]) -> list[Refusal]:
    """The refusals in pydantic's text, of which the record keeps the first five lines."""
    found = []
    place = ""
    for line in lines[1:]:
        if match := re.fullmatch(r"  (.*) \[type=(\w+), .*", line):
            found.append(as_in_a_body(place, match[2], match[1]))
            place = ""
        elif not line.startswith("    "):
            place = line
    return found


def as_in_a_body(place: str, kind: str, message: str) -> Refusal:
    """FastAPI lets an object's fields come from attributes, so that pydantic words one kind of refusal otherwise."""
    if kind == "model_type":
        message = "Input should be a valid dictionary or object to extract fields from"
        return place, "model_attributes_type", message
    return place, kind, message


def refusals(answer: Answer) -> list[Refusal]:
    message = re.sub(r"ValueError\('([^']*)'\)", r"'\1'", answer.json()["message"])
    errors = ast.literal_eval(message)
    return [(".".join(str(part) for part in error["loc"][1:]), error["type"], error["msg"]) for error in errors]
