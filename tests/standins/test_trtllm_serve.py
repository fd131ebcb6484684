"""What the stand-in of `trtllm-serve` does beyond the recordings: failures, stops, versions, constraints."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trtllm_process import StandinProcess, wait_for

StartTrtllm = Callable[..., StandinProcess]

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
RESPONSE_FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}
SLOW = {"STANDIN_TOKEN_MS": "20"}
ENDLESS = {"max_tokens": 4000, "ignore_eos": True}


def is_gone(pid: int) -> bool:
    """A zombie is gone: who reaps it is not ours to say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def content_of(answer: Any) -> str:
    return answer.json()["choices"][0]["message"]["content"]


def test_a_closed_stream_is_aborted(start_trtllm: StartTrtllm) -> None:
    """Who closes the connection ends the generation."""
    standin = start_trtllm(env=SLOW)
    connection = standin.open_stream("hi", **ENDLESS)
    connection.getresponse().read(10)
    connection.close()
    wait_for("the abort", lambda: standin.notes("abort"))


def test_a_closed_request_is_aborted(start_trtllm: StartTrtllm) -> None:
    """The same without a stream."""
    standin = start_trtllm(env=SLOW)
    connection = standin.open_stream("hi", stream=False, **ENDLESS)
    wait_for("the request", lambda: standin.notes("request"))
    connection.close()
    wait_for("the abort", lambda: standin.notes("abort"))


def test_sigterm_lets_streams_end(start_trtllm: StartTrtllm) -> None:
    """A stream that runs at SIGTERM comes to its natural end, and then the process ends."""
    standin = start_trtllm(env=SLOW)
    connection = standin.open_stream("hi", max_tokens=50, ignore_eos=True)
    response = connection.getresponse()
    response.read(10)
    standin.process.terminate()
    assert response.read().decode().endswith("data: [DONE]\n\n")
    connection.close()
    standin.wait_exit()
    assert [50] == [note["num_tokens"] for note in standin.notes("finish")]
    assert 1 == len(standin.notes("shutdown"))


def test_a_broken_executor_ends_the_server(start_trtllm: StartTrtllm) -> None:
    """The server interrupts itself; its workers go with it."""
    standin = start_trtllm()
    assert "null" == standin.chat("CRASH:").body
    standin.wait_exit()
    assert "CppExecutorError" in standin.output()
    wait_for("the workers' end", lambda: all(is_gone(pid) for pid in standin.notes("workers")[0]["pids"]))


def test_a_killed_worker_ends_the_server(start_trtllm: StartTrtllm) -> None:
    """There is no engine without all of its ranks."""
    standin = start_trtllm("--tp_size", "2")
    os.kill(standin.notes("workers")[0]["pids"][1], signal.SIGKILL)
    standin.wait_exit()
    assert "a worker died" in standin.output()


def test_a_stubborn_worker_outlives_the_server(start_trtllm: StartTrtllm) -> None:
    """What supervisors have to clean up."""
    standin = start_trtllm(env={"STANDIN_WORKER_STUBBORN": "1"})
    standin.process.kill()
    standin.wait_exit()
    assert not is_gone(standin.notes("workers")[0]["pids"][0])


@pytest.mark.parametrize(
    ("fail", "expected"), [("engine_error", (400, True)), ("cut_stream", (200, True)), ("executor_error", (200, True))]
)
def test_failures_begin_when_they_are_told_to(fail: str, expected: tuple[int, bool], start_trtllm: StartTrtllm) -> None:
    """The first answer is whole; then come, as chosen, failed answers or cut streams."""
    standin = start_trtllm(env={"STANDIN_FAIL": fail, "STANDIN_FAIL_AFTER": "1"})
    assert not standin.chat("hi", stream=True).is_cut
    is_cut = standin.chat("hi", stream=True).is_cut
    status = 200 if fail == "executor_error" else standin.chat("hi").status
    assert expected == (status, is_cut)


def test_an_unhealthy_engine_says_so(start_trtllm: StartTrtllm) -> None:
    """After so many requests /health is 503, while answers still come."""
    standin = start_trtllm(env={"STANDIN_FAIL": "unhealthy", "STANDIN_FAIL_AFTER": "1"})
    assert 200 == standin.chat("hi").status
    assert 503 == standin.request("GET", "/health").status


@pytest.mark.parametrize("path", ["/update_weights", "/release_memory", "/resume_memory", "/kv_cache_events"])
def test_control_routes_are_open_and_recorded(path: str, shared_trtllm: StandinProcess) -> None:
    """Nobody is asked for a key; a front that lets them through is found out."""
    before = len(shared_trtllm.notes("call"))
    assert 200 == shared_trtllm.request("POST", path, {}).status
    assert [path] == [note["path"] for note in shared_trtllm.notes("call")[before:]]


def test_metrics_are_consumed(start_trtllm: StartTrtllm) -> None:
    """Reading them takes them away."""
    standin = start_trtllm(yaml="enable_iter_perf_stats: true")
    assert [{"iter": 1, "numActiveRequests": 0}] == standin.request("GET", "/metrics").json()
    assert [] == standin.request("GET", "/metrics").json()


def test_prometheus_wants_perf_metrics(start_trtllm: StartTrtllm) -> None:
    """The route exists with return_perf_metrics only."""
    standin = start_trtllm(yaml="return_perf_metrics: true")
    standin.chat("ANSWER:hi")
    labels = '{engine_type="undefined",model_name="undefined",finished_reason="stop"}'
    assert f"trtllm_request_success_total{labels} 1.0" in standin.request("GET", "/prometheus/metrics").body


@pytest.mark.parametrize(
    ("version", "yaml", "expected"),
    [
        ("1.2.1", "{}", "hi"),
        ("1.2.1", "guided_decoding_backend: xgrammar", '{"answer": "unconstrained"}'),
        ("1.3.0rc3", "guided_decoding_backend: xgrammar", '{"answer": "unconstrained"}'),
        ("1.4.0rc1", "guided_decoding_backend: xgrammar", '{"city": "text", "days": 1}'),
    ],
)
def test_openai_schemas_bind_in_later_versions_only(
    version: str, yaml: str, expected: str, start_trtllm: StartTrtllm
) -> None:
    """Before, the wrapper is the schema; and without a backend nothing binds."""
    standin = start_trtllm(yaml=yaml, env={"STANDIN_VERSION": version})
    assert expected == content_of(standin.chat("ANSWER:hi", response_format=RESPONSE_FORMAT))


def test_an_unwrapped_schema_binds(start_trtllm: StartTrtllm) -> None:
    """The bare schema in the wrapper's place is obeyed by the recorded version."""
    standin = start_trtllm(yaml="guided_decoding_backend: xgrammar")
    answer = standin.chat("ANSWER:hi", response_format={"type": "json_schema", "json_schema": SCHEMA})
    assert '{"city": "text", "days": 1}' == content_of(answer)


def test_ids_are_one_in_later_versions(start_trtllm: StartTrtllm) -> None:
    """All chunks of a stream have one id."""
    standin = start_trtllm(env={"STANDIN_VERSION": "1.4.0rc1"})
    assert 1 == len({chunk["id"] for chunk in standin.chat("ANSWER:hi", stream=True).events()})


def test_a_served_name_is_listed(start_trtllm: StartTrtllm) -> None:
    """Where the option exists, it names the model."""
    standin = start_trtllm("--served_model_name", "mine", env={"STANDIN_VERSION": "1.4.0rc1"})
    assert "mine" == standin.request("GET", "/v1/models").json()["data"][0]["id"]


def test_a_prompt_that_does_not_fit_is_refused(start_trtllm: StartTrtllm) -> None:
    """The message names the context's length."""
    standin = start_trtllm("--max_seq_len", "50")
    answer = standin.chat("x" * 50)
    assert (400, True) == (answer.status, "max_seq_len (50)" in answer.json()["message"])


def test_without_max_tokens_the_context_is_the_limit(start_trtllm: StartTrtllm) -> None:
    """As many tokens as the context leaves."""
    standin = start_trtllm(env={"STANDIN_CONTEXT_LENGTH": "100"})
    assert 100 == standin.chat("hi", ignore_eos=True).json()["usage"]["total_tokens"]


def test_a_stored_response_is_found_and_deleted(shared_trtllm: StandinProcess) -> None:
    """Answers of /v1/responses are kept until they are deleted."""
    made = shared_trtllm.request("POST", "/v1/responses", {"model": "m", "input": "ANSWER:hi"}).json()
    path = f"/v1/responses/{made['id']}"
    assert made == shared_trtllm.request("GET", path).json()
    assert [200, 404] == [shared_trtllm.request("DELETE", path).status, shared_trtllm.request("GET", path).status]


def test_a_stop_word_ends_the_answer(shared_trtllm: StandinProcess) -> None:
    """It is left out, and named."""
    choice = shared_trtllm.chat("ANSWER:one two three", stop=["two"]).json()["choices"][0]
    assert ("one ", "stop", "two") == (choice["message"]["content"], choice["finish_reason"], choice["stop_reason"])


def test_a_seed_picks_the_answer(shared_trtllm: StandinProcess) -> None:
    """One seed, one answer; another seed, another answer."""
    first, again, other = (content_of(shared_trtllm.chat("hi", seed=seed)) for seed in (1, 1, 2))
    assert (True, False) == (first == again, first == other)


def test_a_call_ends_as_one(shared_trtllm: StandinProcess) -> None:
    """A model that stops after a call has called."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    choice = shared_trtllm.chat('CALL:f {"a": 1}', tools=tools).json()["choices"][0]
    assert ("tool_calls", '{"a": 1}') == (
        choice["finish_reason"],
        choice["message"]["tool_calls"][0]["function"]["arguments"],
    )


def test_without_a_parser_tags_stay(start_trtllm: StartTrtllm) -> None:
    """Nobody reads the call out of the text."""
    standin = start_trtllm()
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert content_of(standin.chat("CALL:f {}", tools=tools)).startswith("<tool_call>")


@pytest.mark.parametrize("is_stream", [False, True])
def test_reasoning_is_split_off(is_stream: bool, start_trtllm: StartTrtllm) -> None:  # noqa: FBT001
    """With a parser thoughts have a place of their own, whole and in streams."""
    answer = start_trtllm("--reasoning_parser", "qwen3").chat("ANSWER:<think>so</think>yes", stream=is_stream)
    deltas = (
        [choice["delta"] for chunk in answer.events() for choice in chunk["choices"]]
        if is_stream
        else [answer.json()["choices"][0]["message"]]
    )
    texts = ["".join(delta.get(key, "") for delta in deltas) for key in ("reasoning_content", "content")]
    assert ["so", "yes"] == texts


def test_an_idle_connection_is_closed(shared_trtllm: StandinProcess) -> None:
    """Who keeps a connection in a pool must not count on it."""
    with socket.create_connection(("127.0.0.1", shared_trtllm.port), timeout=20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while data := connection.recv(4096):
            received += data
    assert received.startswith(b"HTTP/1.1 200 OK")
