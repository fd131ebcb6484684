"""What every engine must do: one suite, run over each engine that is installed here."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
import pytest_asyncio
from contract_engines import ContractEngine

from configs.engine import EngineSettings
from deployments.engines import create_engine
from deployments.engines.contract import EngineAddress
from deployments.engines.prometheus_text import MetricNotFound
from deployments.engines.runtime import EngineRuntime
from router.call import ROUTES, parse_call
from router.fitting.profiles import PROFILES
from router.http.event_stream import encode_event
from router.reliability.resuming import read_said, rest_of

LONG: dict[str, object] = {"model": "m", "prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True}

STREAMED: dict[str, object] = {"stream": True, "stream_options": {"include_usage": True}}

# One loop for all: an engine that is shared between tests belongs to the loop that started it.
on_shared_loop = pytest.mark.asyncio(loop_scope="session")


def skip_unless(condition: bool, reason: str) -> None:  # noqa: FBT001  an assertion of a kind
    if not condition:
        pytest.skip(reason)


@pytest_asyncio.fixture(loop_scope="session")
async def session(runtime: EngineRuntime) -> AsyncIterator[aiohttp.ClientSession]:
    """Leaves the engine idle behind."""
    async with connected(runtime) as session:
        yield session
    async with asyncio.timeout(150):
        while not (await runtime.load()).is_idle:  # noqa: ASYNC110  it tells no event
            await asyncio.sleep(0.02)


def connected(runtime: EngineRuntime) -> aiohttp.ClientSession:
    """Speaks with the engine as a router does."""
    headers = {"Authorization": f"Bearer {runtime.address.secret}"}
    return aiohttp.ClientSession(f"http://127.0.0.1:{runtime.address.port}", headers=headers)


async def events(response: aiohttp.ClientResponse) -> list[dict]:
    """A stream's events but the last, which must be the end mark."""
    text = (await response.read()).decode()
    datas = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert "[DONE]" == datas.pop()
    return [orjson.loads(data) for data in datas]


def test_a_command_keeps_its_secret_out_of_its_arguments(kind: ContractEngine, settings: EngineSettings) -> None:
    """The secret is in the environment, where the process asks for it, and nowhere in the command line."""
    skip_unless(kind.is_child, "nothing is started")
    command = create_engine(settings).command(EngineAddress("127.0.0.1", 8000, "s3cr3t"))

    assert (False, kind.checks_keys) == (
        "s3cr3t" in " ".join(command.argv),
        "s3cr3t" in "".join(command.environment.values()),
    )


def test_a_command_takes_interpreter_and_environment_from_the_settings(
    kind: ContractEngine, settings: EngineSettings
) -> None:
    """Each engine may have its own Python environment."""
    skip_unless(kind.is_child and kind.has_interpreter, "no Python of ours runs it")
    changed = settings.model_copy(update={"interpreter": "/opt/engine/python", "environment": {"OMP_NUM_THREADS": "2"}})
    command = create_engine(changed).command(EngineAddress("127.0.0.1", 8000, "s3cr3t"))

    assert ("/opt/engine/python", "2") == (command.argv[0], command.environment["OMP_NUM_THREADS"])


def test_another_programs_metrics_are_no_load(settings: EngineSettings) -> None:
    """A text without the engine's counts is an error, not an idle engine."""
    with pytest.raises(MetricNotFound):
        create_engine(settings).load("up 1\n")


@on_shared_loop
async def test_a_chat_is_answered(session: aiohttp.ClientSession) -> None:
    """A chat gives text, a finish reason and usage."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    async with session.post("/v1/chat/completions", json=body) as response:
        answer = await response.json()
    choice = answer["choices"][0]

    assert (200, "assistant", True, True) == (
        response.status,
        choice["message"]["role"],
        choice["finish_reason"] in ("length", "stop"),
        1 <= answer["usage"]["completion_tokens"] <= 8,
    )


@on_shared_loop
async def test_a_stream_ends_with_usage_and_the_end_mark(session: aiohttp.ClientSession) -> None:
    """A streamed chat sends text in events, its usage when asked for, and `[DONE]`."""
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Say hello."}],
        "max_tokens": 8,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with session.post("/v1/chat/completions", json=body) as response:
        *chunks, last = await events(response)
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)

    assert (True, [], True) == (len(text) > 0, last["choices"], last["usage"]["completion_tokens"] >= 1)


@on_shared_loop
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_an_answer_that_was_begun_is_gone_on_with(
    path: str, settings: EngineSettings, runtime: EngineRuntime
) -> None:
    """Where the profile says that the engine can: asked as for a broken stream, it says the rest, and no more."""
    profile = PROFILES[create_engine(settings).profile]
    skip_unless(profile.continues_by is not None, "engines behind a front are not asked to")
    asked = {"messages": [{"role": "user", "content": "Tell me about rivers."}], "prompt": "Once upon a time"}
    call = parse_call(
        ROUTES[path], orjson.dumps({"model": "m", "temperature": 0, "max_tokens": 24, **asked, **STREAMED})
    )
    whole = [encode_event(event) for event in await streamed(runtime, path, call.raw)]
    said = read_said(b"".join(whole[: len(whole) // 2]))
    assert said is not None
    rest = rest_of(call, said, said.num_events, profile)
    assert rest is not None
    more = read_said(b"".join(map(encode_event, await streamed(runtime, path, rest.call.raw))))
    at_once = read_said(b"".join(whole))

    assert more is not None
    assert at_once is not None
    # An event may have several tokens: then the rest is longer by those that were not counted.
    assert (said.text + more.text).startswith(at_once.text)


async def streamed(runtime: EngineRuntime, path: str, body: bytes) -> list[dict]:
    """On a connection of its own: an engine may be closing one that was idle."""
    async with (
        connected(runtime) as session,
        session.post(path, data=body, headers={"content-type": "application/json"}) as response,
    ):
        assert 200 == response.status, await response.text()
        return await events(response)


@on_shared_loop
async def test_a_stranger_sees_health_only(runtime: EngineRuntime) -> None:
    """Without the secret `/health` is 200; completions and metrics are 401."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runtime.address.port}") as stranger:
        health = await stranger.get("/health")
        completion = await stranger.post("/v1/completions", json={"model": "m", "prompt": "a"})
        metrics = await stranger.get("/metrics")
        responses = (health, completion, metrics)
        for response in responses:
            await response.read()

    assert [200, 401, 401] == [response.status for response in responses]


@on_shared_loop
async def test_a_prompt_over_the_context_is_a_bad_request(kind: ContractEngine, session: aiohttp.ClientSession) -> None:
    """A prompt longer than the context is 400 with a message, and the engine is well afterwards."""
    skip_unless(kind.refuses_long_prompts, "it cuts them without a word")
    async with session.post("/v1/completions", json={"model": "m", "prompt": "word " * 2000}) as response:
        error = (await response.json())["error"]
    async with session.post("/v1/completions", json={"model": "m", "prompt": "word", "max_tokens": 1}) as after:
        pass

    assert (400, "context" in error["message"], 200) == (response.status, True, after.status)


@on_shared_loop
async def test_a_disconnect_frees_the_engine(runtime: EngineRuntime, session: aiohttp.ClientSession) -> None:
    """Closing the connection of a running stream brings the engine's own counts back to nothing."""
    response = await session.post("/v1/completions", json={**LONG, "stream": True})
    await response.content.readuntil(b"\n\n")
    async with asyncio.timeout(150):
        while (await runtime.load()).num_running != 1:  # noqa: ASYNC110  it tells no event
            await asyncio.sleep(0.01)
    response.close()

    assert await runtime.drain(timeout_s=150)


@on_shared_loop
async def test_requests_over_the_limit_wait(
    kind: ContractEngine, runtime: EngineRuntime, session: aiohttp.ClientSession
) -> None:
    """Of three requests two run and one waits; all are answered."""
    skip_unless(kind.tells_queue, "nobody tells how many wait")
    requests = [asyncio.create_task(session.post("/v1/completions", json={**LONG, "max_tokens": 80})) for _ in range(3)]
    async with asyncio.timeout(150):
        while ((load := await runtime.load()).num_running, load.num_waiting) != (2, 1):
            assert not all(request.done() for request in requests), "all were answered unseen"
            await asyncio.sleep(0.01)
        responses = await asyncio.gather(*requests)
    for response in responses:
        await response.read()

    assert [200, 200, 200] == [response.status for response in responses]


@on_shared_loop
async def test_totals_count_tokens(runtime: EngineRuntime, session: aiohttp.ClientSession) -> None:
    """The totals grow by what a request's usage says."""
    before = await runtime.load()
    async with session.post("/v1/completions", json={**LONG, "max_tokens": 20}) as response:
        usage = (await response.json())["usage"]
    after = await runtime.load()
    assert before.num_prompt_tokens is not None
    assert before.num_completion_tokens is not None

    assert (before.num_prompt_tokens + usage["prompt_tokens"], before.num_completion_tokens + 20) == (
        after.num_prompt_tokens,
        after.num_completion_tokens,
    )
