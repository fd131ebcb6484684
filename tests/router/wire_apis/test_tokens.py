"""`/tokenize`, `/detokenize` and `/apply-template` through a real router, asked as by clients of either engine."""

import orjson
import pytest
from door import Door, OpenDoor
from scripted_engine import ScriptedEngine
from wire import whole

from router.replicas.registry import Replica

HI = [{"role": "user", "content": "hi"}]


@pytest.fixture(params=["vllm", "llama_cpp"])
async def served(request: pytest.FixtureRequest, open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router whose engine speaks one of the two dialects, with a context of 1000 tokens."""
    door = await open_door()
    door.serve_with(engine.replica("t1", profile=request.param, max_model_len=1000))
    is_vllm = request.param == "vllm"
    engine.script(whole({"prompt": "<user>hi"}), path="/apply-template")
    engine.script(whole({"count": 3, "max_model_len": 1000, "tokens": [1, 2, 3]}), path="/tokenize")
    engine.script(whole({"prompt": "hi"} if is_vllm else {"content": "hi"}), path="/detokenize")
    return door


@pytest.mark.parametrize("body", [{"model": "m", "prompt": "hi"}, {"content": "hi"}, {"model": "m", "messages": HI}])
async def test_a_text_or_a_chat_as_tokens(body: dict[str, object], served: Door) -> None:
    """In vLLM's shape, which has what llama.cpp's clients read."""
    answer = await served.post(body, "/tokenize")
    assert {"count": 3, "max_model_len": 1000, "tokens": [1, 2, 3]} == orjson.loads(answer.body)


async def test_tokens_as_a_text(served: Door) -> None:
    """Under both names."""
    answer = await served.post({"model": "m", "tokens": [1, 2]}, "/detokenize")
    assert {"prompt": "hi", "content": "hi"} == orjson.loads(answer.body)


async def test_a_chat_as_a_prompt(served: Door, engine: ScriptedEngine) -> None:
    """As llama.cpp answers; vLLM is asked for the tokens, and for their text."""
    engine.script(whole({"prompt": "<user>hi"}), path="/detokenize")
    answer = await served.post({"model": "m", "messages": HI}, "/apply-template")
    assert {"prompt": "hi" if engine.requests[0].path == "/tokenize" else "<user>hi"} == orjson.loads(answer.body)


async def test_llama_cpp_is_asked_in_its_words(door: Door, engine: ScriptedEngine) -> None:
    """A prompt's own beginning is added where vLLM adds it, and texts come beside their tokens where that is asked."""
    pieces = [{"id": 1, "piece": "<s>"}, {"id": 2, "piece": [195]}]
    engine.script(whole({"tokens": pieces}), path="/tokenize")
    answer = await door.post({"model": "m", "prompt": "hi", "return_token_strs": True}, "/tokenize")
    assert {
        "content": "hi", "add_special": True, "parse_special": True, "with_pieces": True,
    } == engine.requests[0].document  # fmt: skip
    assert ([1, 2], ["<s>", "\ufffd"]) == (
        orjson.loads(answer.body)["tokens"],
        orjson.loads(answer.body)["token_strs"],
    )


async def test_a_chat_is_counted_as_it_is_asked(door: Door, engine: ScriptedEngine) -> None:
    """With what its template does not take said otherwise."""
    door.serve_with(Replica("t1", "m", "127.0.0.1", engine.port, "s", "vllm", "vllm", role_refusals=("neighbours",)))
    engine.script(whole({"tokens": [1]}), path="/tokenize")
    await door.post({"model": "m", "messages": HI * 2}, "/tokenize")
    assert [{"role": "user", "content": "hi\nhi"}] == engine.requests[0].document["messages"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {"model": "m"}, "prompt"),
        ("/tokenize", {"content": 5}, "content"),
        ("/tokenize", {"model": "m", "messages": [{}]}, "messages[0].role"),
        ("/tokenize", {"model": 5, "prompt": "a"}, "model"),
        ("/tokenize", {"prompt": "a", "add_special_tokens": "no"}, "add_special_tokens"),
        ("/tokenize", {"model": "nobody", "prompt": "a"}, "model"),
        ("/apply-template", {"model": "m"}, "messages"),
        ("/detokenize", {"model": "m"}, "tokens"),
        ("/detokenize", {"model": "m", "tokens": ["a"]}, "tokens"),
        ("/detokenize", {"model": "m", "tokens": [-1]}, "tokens"),
        ("/detokenize", {"model": "m", "tokens": [2**31]}, "tokens"),
    ],
)
async def test_bad_fields_are_named(path: str, body: dict[str, object], param: str, door: Door) -> None:
    """Before an engine is asked."""
    answer = await door.post(body, path)
    assert (404 if body.get("model") == "nobody" else 400, param) == (answer.status, answer.error["param"])


async def test_an_engine_without_a_tokeniser_is_told_of(door: Door, engine: ScriptedEngine) -> None:
    """TensorRT-LLM's and Ollama's servers have no such route."""
    door.serve_with(engine.replica("t1", profile="front"))
    answer = await door.post({"model": "m", "prompt": "a"}, "/tokenize")
    assert (400, "model_does_not_support") == (answer.status, answer.error["code"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"model": "m", "messages": HI}),
        ("/apply-template", {"model": "m", "messages": HI}),
        ("/detokenize", {"model": "m", "tokens": [2**30]}),
    ],
)
@pytest.mark.parametrize("profile", ["vllm", "llama_cpp"])
async def test_what_the_engine_refuses(
    profile: str, path: str, body: dict[str, object], door: Door, engine: ScriptedEngine
) -> None:
    """Is the client's mistake, in the engine's words."""
    door.serve_with(engine.replica("t1", profile=profile))
    engine.otherwise = [whole({"error": {"message": "this cannot be", "code": 400}}, 400)]
    answer = await door.post(body, path)
    assert (400, "this cannot be") == (answer.status, answer.error["message"])


async def test_an_engine_without_the_route(door: Door, engine: ScriptedEngine) -> None:
    """Cannot be asked for it, however often."""
    engine.otherwise = [whole({"error": "Not Found"}, 404)]
    answer = await door.post({"model": "m", "tokens": [1]}, "/detokenize")
    assert (400, "model_does_not_support") == (answer.status, answer.error["code"])


async def test_an_engine_that_is_gone(door: Door, engine: ScriptedEngine) -> None:
    """May be back soon."""
    await engine.stop()
    answer = await door.post({"model": "m", "prompt": "a"}, "/tokenize")
    assert (503, "engine_unavailable") == (answer.status, answer.error["code"])


async def test_an_engine_that_does_not_say_is_an_error(door: Door, engine: ScriptedEngine) -> None:
    """And nothing that a client would count with."""
    engine.script(whole({}), path="/tokenize")
    answer = await door.post({"model": "m", "prompt": "a"}, "/tokenize")
    assert (500, "engine_failed") == (answer.status, answer.error["code"])


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize", "/apply-template"])
@pytest.mark.parametrize("profile", ["vllm", "llama_cpp"])
async def test_what_the_engine_refuses_is_the_clients_mistake(
    path: str, profile: str, door: Door, engine: ScriptedEngine
) -> None:
    """In the engine's words: a chat that its template does not take, or a token that its vocabulary has not."""
    door.serve_with(engine.replica("t1", profile=profile))
    engine.otherwise = [whole({"error": {"message": "Roles must alternate."}}, 400)]
    answer = await door.post({"model": "m", "messages": HI, "tokens": [1]}, path)
    assert (400, "invalid_request", "Roles must alternate.") == (
        answer.status,
        answer.error["code"],
        answer.error["message"],
    )


async def test_a_model_without_replicas_is_unavailable(door: Door) -> None:
    """Nobody can count, and nobody guesses."""
    door.serve_with()
    answer = await door.post({"model": "m", "prompt": "a"}, "/tokenize")
    assert (503, "engine_unavailable") == (answer.status, answer.error["code"])
