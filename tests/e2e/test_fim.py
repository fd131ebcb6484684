"""Filling in, strict templates and keys in the path, through whole houses: what replicas say reaches the routers."""

import json

import openai
import pytest
from house import House
from house_files import KEYS
from raw_http import ask, post, request

TYPED = {
    "input_prefix": "def add(a, b):\n",
    "input_suffix": "\n",
    "input_extra": [{"filename": "sub.py", "text": "def sub(a, b): ..."}],
    "prompt": "    return ",
    "n_predict": 8,
    "n_cmpl": 2,
    "t_max_predict_ms": 60_000,
    "model": "google/gemini-2.5-flash",
}


def test_a_real_model_without_marks_refuses_a_suffix(laptop: House) -> None:
    """SmolLM2 on llama.cpp: its tokeniser says that it cannot, before any request reaches it."""
    with openai.OpenAI(base_url=laptop.base_url, api_key="none", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            client.completions.create(model="smollm2", prompt="def f(", suffix="): pass", max_tokens=1)
        plain = client.completions.create(model="smollm2", prompt="def f(", suffix="", max_tokens=1)
    assert ("suffix", "unsupported_parameter") == (refused.value.param, refused.value.code)
    assert "length" == plain.choices[0].finish_reason


def test_a_real_template_takes_what_editors_send(laptop: House) -> None:
    """A `developer`, two users behind each other, an empty text beside a call, and a late system prompt."""
    called = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi."},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "Nothing."},
        {"role": "system", "content": "Be polite."},
        {"role": "user", "content": "Well?"},
    ]
    body = {"model": "smollm2", "messages": messages, "max_tokens": 2, "temperature": 0}
    answer = ask(laptop.port, post(body))
    assert 200 == answer.status, answer.body


def test_a_suffix_is_filled_in(pair: House) -> None:
    """The simulated engine knows Qwen's marks, and counts the prompt that the router makes with them."""
    with openai.OpenAI(base_url=pair.base_url, api_key=KEYS[0], max_retries=0) as client:
        filled = client.completions.create(model="simulated", prompt="def f(", suffix="): pass", max_tokens=2)
        made = "<|fim_prefix|>def f(<|fim_suffix|>): pass<|fim_middle|>"
        plain = client.completions.create(model="simulated", prompt=made, max_tokens=2)
    assert filled.usage is not None
    assert (plain.choices[0].text, plain.usage) == (filled.choices[0].text, filled.usage)


@pytest.mark.parametrize("path", ["/infill", "/v1/infill"])
def test_llama_vscode_is_answered_below_a_key(path: str, pair: House) -> None:
    """It names a model that is nobody's, wants two answers, and can be given its key in the address."""
    answer = ask(pair.port, post(TYPED, f"/k/{KEYS[0]}{path}"))
    assert 200 == answer.status, answer.body
    assert [(True, "simulated", 8)] * 2 == [
        (bool(one["content"]), one["model"], one["generation_settings"]["n_predict"]) for one in json.loads(answer.body)
    ]


def test_no_log_has_the_key_of_a_path(pair: House) -> None:
    """Neither the routers' own nor Serve's."""
    for path in ("/v1/models", "/nothing", "/health"):
        ask(pair.port, request("GET", f"/k/{KEYS[1]}{path}"))
    logs = [each for each in pair.session.rglob("*") if each.is_file() and each.suffix in (".log", ".out", ".err")]
    assert logs
    assert [] == [str(each) for each in logs if KEYS[1].encode() in each.read_bytes()]
