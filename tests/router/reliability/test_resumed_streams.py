"""Streams that go on with another engine where theirs was lost, through a router's own socket."""

import asyncio

import pytest
from broken_streams import BROKEN, REST, ROLE, of_another, text_of, two_engines, usage
from door import Door, OpenDoor
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import (
    CHAT,
    CHAT_STREAM,
    CHAT_STREAM_WITH_USAGE,
    COMPLETION,
    DONE,
    STOP,
    STREAM_HEAD,
    chunk,
    event,
    plain,
    stream,
    token,
    whole,
)

from cache.memory_store import MemoryStore
from configs.router import RequestSettings
from router.http.event_stream import read_events
from router.metrics import COMPLETION_TOKENS, PROMPT_TOKENS, RESUMES, RETRIES


@pytest.mark.parametrize(
    ("profile", "fields"),
    [
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}),
        ("llama_cpp", {}),
    ],
)
async def test_the_other_engine_is_asked_to_go_on(
    profile: str, fields: dict[str, object], door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """With the text so far as the assistant's message, in the engine's own way, and with as many tokens less."""
    engine.script(*BROKEN)
    other_engine.script(REST, path="/v1/chat/completions")
    two_engines(door, engine, other_engine, profile)
    await door.post({**CHAT_STREAM, "max_tokens": 10, "stop": ["END"]})
    [asked] = [request.document for request in other_engine.requests if request.path == "/v1/chat/completions"]
    assert {
        **CHAT_STREAM,
        **fields,
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello,"}],
        "max_tokens": 8,
        "stop": ["END"],
        "stream_options": {"include_usage": True},
    } == asked


async def test_the_log_says_whose_stream_it_was(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The model and the replica that broke it: the client's own request ends well, and has no line."""
    engine.script(*BROKEN)
    other_engine.script(REST, path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    await door.post(CHAT_STREAM)
    [told] = [one.getMessage() for one in caplog.records if "is resumed" in one.getMessage()]
    assert told.startswith("a stream of 'm' is resumed after 2 events, for it broke on replica first: ")


async def test_a_resumed_stream_counts_as_a_retry_too(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Another replica was tried, for its rest."""
    engine.script(*BROKEN)
    other_engine.script(REST, path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    await door.post(CHAT_STREAM)
    assert (1, 1) == (door.sink.total(RESUMES), door.sink.total(RETRIES))


async def test_the_engines_tokeniser_says_how_much_was_said(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Where that is more than there were events: an engine may send several tokens in one."""
    engine.script(*BROKEN)
    other_engine.script(whole({"count": 5, "tokens": [1, 2, 3, 4, 5]}), path="/tokenize")
    other_engine.script(REST, path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    await door.post({**CHAT_STREAM, "max_tokens": 10})
    assert 5 == other_engine.requests[-1].document["max_tokens"]


async def test_blanks_that_would_be_other_tokens_are_said_again(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Where the tokeniser makes fewer tokens of the text than there were: the client hears them once."""
    engine.script(STREAM_HEAD, chunk(ROLE + token("Hello") + token("\n") + token("\n")), Ending.RESET)
    for tokens in ([1, 2], [1]):
        other_engine.script(whole({"tokens": tokens}), path="/tokenize")
    rest = (ROLE, token("\n"), token("\n"), token("world"), STOP, usage(8, 3), DONE)
    other_engine.script(stream(of_another(*rest)), path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM_WITH_USAGE, "max_tokens": 10})
    asked = other_engine.requests[-1].document
    assert ("Hello", 9) == (asked["messages"][-1]["content"], asked["max_tokens"])  # type: ignore[index]
    assert ("Hello\n\nworld", True) == (text_of(answer.body), usage(7, 4) in answer.body)


async def test_the_usage_is_that_of_one_answer(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The prompt as it was asked, and both engines' tokens: for the client, and in the metrics."""
    engine.script(*BROKEN)
    other_engine.script(REST, path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    answer = await door.post(CHAT_STREAM_WITH_USAGE)
    assert usage(7, 4) in answer.body
    assert (7, 4) == (door.sink.total(PROMPT_TOKENS), door.sink.total(COMPLETION_TOKENS))


async def test_a_text_goes_on_behind_its_prompt(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A text completion is asked with the prompt and the text as one; vLLM's own limit of 16 tokens holds."""
    part = event({"id": "a", "created": 1, "choices": [{"index": 0, "text": " once", "finish_reason": None}]})
    rest = event({"id": "b", "created": 2, "choices": [{"index": 0, "text": " more", "finish_reason": "stop"}]})
    engine.script(STREAM_HEAD, chunk(part), Ending.CLOSE)
    other_engine.script(stream(rest, DONE), path="/v1/completions")
    two_engines(door, engine, other_engine)
    answer = await door.post({**COMPLETION, "stream": True}, "/v1/completions")
    asked = other_engine.requests[-1].document
    assert (" once more", "hi once", 15) == (text_of(answer.body), asked["prompt"], asked["max_tokens"])
    assert b'"b"' not in answer.body


async def test_a_second_loss_is_resumed_from_the_whole_text(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """What was resumed once may be resumed again."""
    door = await open_door(RequestSettings(replica_wait_s=5, max_attempts=4))
    path = "/v1/chat/completions"
    engine.script(*BROKEN, path=path)
    other_engine.script(STREAM_HEAD, chunk(of_another(ROLE, token(" wor"))), Ending.RESET, path=path)
    engine.otherwise = other_engine.otherwise = [stream(of_another(ROLE, token("ld"), STOP, DONE))]
    two_engines(door, engine, other_engine)
    assert "Hello, world" == text_of((await door.post(CHAT_STREAM)).body)
    asked = [one.document for one in (*engine.requests, *other_engine.requests) if one.path == path]
    assert ["Hello, wor"] == [said for one in asked if (said := one["messages"][-1]["content"]) not in ("hi", "Hello,")]  # type: ignore[index]


async def test_a_stream_whose_engine_ends_it_by_an_error_goes_on(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """As one whose engine is lost."""
    engine.script(stream(ROLE, token("Hel"), token("lo,"), event({"error": {"message": "dead", "code": 500}})))
    other_engine.script(REST, path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    assert "Hello, world" == text_of((await door.post(CHAT_STREAM)).body)


async def test_a_silent_stream_goes_on(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """An engine that is stopped says nothing, and its connection holds."""
    door = await open_door(RequestSettings(stall_timeout_s=1))
    engine.script(STREAM_HEAD, chunk(ROLE + token("Hel") + token("lo,")), asyncio.Event())
    other_engine.script(REST, path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    assert "Hello, world" == text_of((await door.post(CHAT_STREAM)).body)


async def test_a_stream_waits_for_a_new_replica(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The client hears comments meanwhile, and then the rest."""
    door = await open_door(RequestSettings(replica_wait_s=20, early_headers_s=0.01, max_attempts=2))
    engine.script(*BROKEN)
    other_engine.script(REST, path="/v1/chat/completions")
    door.serve_with(engine.replica("first", "vllm"))
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(b": keep-alive")
        door.serve_with(other_engine.replica("second", "vllm"))
        assert DONE in await client.until(b"0\r\n\r\n")


@pytest.mark.parametrize("is_shared", [True, False], ids=["shared", "copied to a shadow"])
async def test_who_waits_for_the_rest_is_kept_alive(
    is_shared: bool,  # noqa: FBT001 - pytest's way
    open_door: OpenDoor,
    engine: ScriptedEngine,
    other_engine: ScriptedEngine,
) -> None:
    """Also where the answer is shared with others, or the request is copied."""
    requests = RequestSettings(replica_wait_s=20, early_headers_s=0.01, max_attempts=2)
    door = await open_door(requests, store=MemoryStore(1_000_000, 4096) if is_shared else None)
    if not is_shared:
        door.set_route(shadow={"application": "dark", "ratio": 1})
        door.state.take_over_replicas("dark", [other_engine.replica("dark", "vllm")])
    for script in (BROKEN, [REST]):
        engine.script(*script, path="/v1/chat/completions")
    door.serve_with(engine.replica("first", "vllm"))
    with await door.client() as client:
        await client.post({**CHAT_STREAM, "temperature": 0})
        await client.until(token("lo,"))
        await client.until(b": keep-alive")
        door.serve_with(engine.replica("second", "vllm"))
        assert DONE in await client.until(b"0\r\n\r\n")


async def test_tools_that_were_only_offered_do_not_matter(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The text goes on, and a call may follow it."""
    call = {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}]}
    called = event({"id": "c2", "choices": [{"index": 0, "delta": call, "finish_reason": "tool_calls"}]})
    engine.script(*BROKEN)
    other_engine.script(stream(of_another(ROLE), called, DONE), path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM, "tools": [{}]})
    assert (True, True) == (b'"name":"f"' in answer.body, answer.body.endswith(DONE))


async def test_a_replica_that_cannot_go_on_is_passed_by(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Another engine behind a front takes whole requests, and no rests."""
    for script in (BROKEN, [REST]):
        engine.script(*script, path="/v1/chat/completions")
    door.serve_with(other_engine.replica("front", "front"), engine.replica("first", "vllm"))
    assert "Hello, world" == text_of((await door.post(CHAT_STREAM)).body)
    assert [] == other_engine.requests


async def test_a_stop_sequence_across_the_seam_ends_the_answer(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Its first half was said by one engine, its second by the other: neither saw it."""
    engine.script(STREAM_HEAD, chunk(ROLE + token("Hello E")), Ending.RESET)
    other_engine.script(
        stream(of_another(ROLE, token("N"), token("D of"), token(" it"), STOP, usage(9, 3), DONE)),
        path="/v1/chat/completions",
    )
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM, "stop": "END"})
    finishes = [each["choices"][0]["finish_reason"] for each in read_events(answer.body) if each]
    assert ("Hello E", "stop", True) == (text_of(answer.body), finishes[-1], answer.body.endswith(DONE))


async def test_a_stop_sequence_that_is_wanted_is_said_to_its_end(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """vLLM keeps it in the answer where it is told to, and then sends its first half before it is whole."""
    engine.script(STREAM_HEAD, chunk(ROLE + token("Hello E")), Ending.RESET)
    other_engine.script(
        stream(of_another(ROLE, token("N"), token("D of"), STOP, usage(9, 2), DONE)), path="/v1/chat/completions"
    )
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM, "stop": "END", "include_stop_str_in_output": True})
    finishes = [each["choices"][0]["finish_reason"] for each in read_events(answer.body) if each]
    assert ("Hello END", "stop", True) == (text_of(answer.body), finishes[-1], answer.body.endswith(DONE))


async def test_an_answer_that_lacked_only_its_end_gets_it(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The engine was lost between the last word and `[DONE]`: another one only counts the prompt."""
    engine.script(STREAM_HEAD, chunk(ROLE + token("Hello") + STOP), Ending.RESET)
    other_engine.script(stream(of_another(ROLE, token("!"), STOP, usage(8, 1), DONE)), path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM_WITH_USAGE, "max_tokens": 10})
    assert ROLE + token("Hello") + STOP + usage(7, 1) + DONE == answer.body
    assert 1 == other_engine.requests[-1].document["max_tokens"]


async def test_an_answer_whose_tokens_were_all_said_ends_with_length(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The engine was lost before it could say so."""
    engine.script(*BROKEN)
    other_engine.script(stream(of_another(ROLE, token("!"), STOP, usage(9, 1), DONE)), path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM, "max_tokens": 2})
    finishes = [each["choices"][0]["finish_reason"] for each in read_events(answer.body) if each]
    assert ("Hello,", ["length"]) == (text_of(answer.body), [reason for reason in finishes if reason])


async def test_before_its_first_word_a_stream_is_asked_again(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """There is nothing to go on with; the role is not said twice."""
    engine.script(STREAM_HEAD, chunk(ROLE), Ending.RESET)
    other_engine.script(stream(of_another(ROLE, token("Hello"), STOP, DONE)))
    two_engines(door, engine, other_engine)
    answer = await door.post(CHAT_STREAM)
    assert ROLE + token("Hello") + STOP + DONE == answer.body
    assert CHAT["messages"] == other_engine.requests[0].document["messages"]


async def test_a_resumed_answer_is_not_kept(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Its clients hear it, but it is nobody's own."""
    door = await open_door(store=MemoryStore(1_000_000, 4096))
    engine.script(*BROKEN)
    engine.otherwise = other_engine.otherwise = [REST]
    other_engine.script(plain(b"", 404), path="/tokenize")
    two_engines(door, engine, other_engine)
    body = {**CHAT_STREAM, "temperature": 0}
    answers = [await door.post(body) for _ in range(2)]
    assert "Hello, world" == text_of(answers[0].body)
    assert ["miss", "miss"] == [answer.headers["x-enginehouse-cache"] for answer in answers]


async def test_a_client_that_leaves_in_the_pause_is_not_waited_for(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Nothing is left of its request."""
    door = await open_door(RequestSettings(replica_wait_s=60, max_attempts=2))
    engine.script(STREAM_HEAD, chunk(token("Hel")), Ending.RESET)
    door.serve_with(engine.replica("first", "vllm"))
    client = await door.client()
    await client.post(CHAT_STREAM)
    await client.until(token("Hel"))
    client.leave()
    await eventually(lambda: not door.state.generations)
    assert 0 == door.num_running
