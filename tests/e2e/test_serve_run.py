"""`serve run FILE`, unwrapped: the router behind both of its doors, and what it refuses."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import openai
import pytest
from house import START_DEADLINE_S
from house_files import Json, free_port, model, router, router_of, serve_file
from raw_http import ask, request
from serve_run import ServeRun, cluster_folder
from streaming_load import PROMPT, Pace
from waiting import wait_for

PACE = Pace(20, token_ms=5)


@dataclass(slots=True)
class Doors:
    """A cluster that `serve run` started, with the router on its own port and behind Serve's proxy."""

    folder: Path
    own: int = field(default_factory=free_port)
    serve: int = field(default_factory=free_port)

    def file(self) -> Json:
        return serve_file(
            router(self.own, {"simulated": []}),
            [model("simulated")],
            proxy_location="EveryNode",
            http_options={"host": "127.0.0.1", "port": self.serve},
        )


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    with cluster_folder() as folder:
        opened = Doors(folder)
        run = ServeRun(folder, opened.file())
        try:
            for port in (opened.own, opened.serve):
                wait_for(f"port {port} answers", partial(_is_answered, run, port), START_DEADLINE_S)
            yield opened
        finally:
            run.stop()


def _is_answered(run: ServeRun, port: int) -> bool:
    assert run.process.poll() is None, run.output()
    try:
        return ask(port, request("GET", "/v1/models/simulated")).status == 200
    except (OSError, IndexError):  # late is not there yet
        return False


@pytest.fixture(params=["own", "serve"])
def client(doors: Doors, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    """The SDK at each door in turn."""
    base_url = f"http://127.0.0.1:{getattr(doors, request.param)}/v1"
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as sdk:
        yield sdk


def test_a_whole_answer_at_each_door(client: openai.OpenAI) -> None:
    """A completion is the same through the router's own listener and through Serve's proxy."""
    answer = client.completions.create(model="simulated", prompt=PROMPT, extra_body=PACE.extra_body)
    assert 20 * 4 == len(answer.choices[0].text)
    assert answer.usage is not None
    assert 20 == answer.usage.completion_tokens


def test_a_stream_at_each_door(client: openai.OpenAI) -> None:
    """A stream says token by token what the whole answer says."""
    whole = client.completions.create(model="simulated", prompt=PROMPT, extra_body=PACE.extra_body)
    stream = client.completions.create(model="simulated", prompt=PROMPT, extra_body=PACE.extra_body, stream=True)
    chunks = [chunk.choices[0].text for chunk in stream]
    assert (20, whole.choices[0].text) == (len(chunks), "".join(chunks))


def test_an_error_at_each_door(client: openai.OpenAI) -> None:
    """An error has its status, code and field, and the client's request id once."""
    with pytest.raises(openai.NotFoundError) as unknown:
        client.completions.create(model="gpt-5", prompt="hi", extra_headers={"x-request-id": "trace-7"})
    assert ("model_not_found", "model", "trace-7") == (
        unknown.value.code,
        unknown.value.param,
        unknown.value.request_id,
    )


def test_a_broken_stream_at_each_door(client: openai.OpenAI) -> None:
    """A stream that its engine breaks off, and no other can go on with, ends with an error at the client."""
    cut = {"num_tokens": 20, "inter_token_ms": 5, "cut_after_tokens": 5}
    command = {"simulated": cut, "logprobs": 1}
    stream = iter(client.completions.create(model="simulated", prompt=PROMPT, extra_body=command, stream=True))
    for _ in range(5):
        assert next(stream).choices[0].finish_reason is None
    with pytest.raises(openai.APIError) as broken:
        next(stream)
    assert "engine_failed" == broken.value.code


def test_a_public_address_without_keys_is_refused(doors: Doors) -> None:
    """A router that would serve everybody does not start, and `serve run` prints why. It ends the cluster's router."""
    file = doors.file()
    port = free_port()
    router_of(file)["args"]["listener"] = {"host": "0.0.0.0", "port": port}
    run = ServeRun(doors.folder, file)
    try:
        reason = "without API keys the router serves this machine only"
        wait_for("the reason is printed", lambda: reason in run.output(), START_DEADLINE_S)
        with pytest.raises(ConnectionRefusedError):
            ask(port, request("GET", "/health"))
    finally:
        run.stop()
