"""router.replicas.prefix_key: what makes two requests share a beginning."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.call import ROUTES, Call, parse_call
from router.http.asgi import Scope
from router.replicas.prefix_key import MIN_PREFIX_BYTES, prefix_key, session_of

SYSTEM = {"role": "system", "content": "You are a careful programmer. " * 200}
ASKED = {"role": "user", "content": "Rename the queue."}
ANSWERED = {"role": "assistant", "content": "Done."}
MORE = {"role": "user", "content": "Now its tests."}


def call(path: str, session: bytes = b"", **fields: object) -> Call:
    return parse_call(ROUTES[path], orjson.dumps({"model": "m", **fields}), session)


def of_chat(*messages: object, session: bytes = b"", **fields: object) -> int | None:
    return prefix_key(call("/v1/chat/completions", session, messages=messages, **fields))


def of_prompt(prompt: object, session: bytes = b"", **fields: object) -> int | None:
    return prefix_key(call("/v1/completions", session, prompt=prompt, **fields))


def of_content(*content: object) -> int | None:
    return of_chat(SYSTEM, {"role": "user", "content": content})


def test_a_conversation_keeps_its_key_as_it_grows() -> None:
    """What follows the first answer does not count."""
    first = of_chat(SYSTEM, ASKED)
    assert first is not None
    assert first == of_chat(SYSTEM, ASKED, ANSWERED, MORE)
    assert first == of_chat(SYSTEM, ASKED, ANSWERED, MORE, ANSWERED, ASKED, temperature=0.5)


@pytest.mark.parametrize("role", ["assistant", "tool", "function"])
def test_the_beginning_ends_with_the_first_answer(role: str) -> None:
    """Of the model, or of a tool whose call was cut off before it."""
    answer = {"role": role, "content": "Done.", "tool_call_id": "1"}
    assert of_chat(SYSTEM, ASKED) == of_chat(SYSTEM, ASKED, answer)


def test_a_greeting_before_the_first_question_is_no_answer() -> None:
    """Else all conversations that begin with it would be one."""
    assert of_chat(SYSTEM, ANSWERED, ASKED) != of_chat(SYSTEM, ANSWERED, MORE)


def test_conversations_with_one_system_prompt_have_keys_of_their_own() -> None:
    """So that they spread over the replicas."""
    assert of_chat(SYSTEM, ASKED) != of_chat(SYSTEM, MORE)


def test_the_system_prompt_counts() -> None:
    """The same question in another workspace is another beginning."""
    assert of_chat(SYSTEM, ASKED) != of_chat({**SYSTEM, "content": "You are hasty. " * 200}, ASKED)


def test_roles_count() -> None:
    """The same words of somebody else are rendered in another way."""
    assert of_chat(SYSTEM, ASKED) != of_chat({**SYSTEM, "role": "developer"}, ASKED)


def test_the_context_and_the_question_of_an_editor_count() -> None:
    """Copilot sends two user messages before the first answer."""
    assert of_chat(SYSTEM, MORE, ASKED) != of_chat(SYSTEM, MORE, MORE)


def test_no_more_than_four_messages_are_looked_at() -> None:
    """A client that sends no answers along has a beginning, too."""
    assert of_chat(SYSTEM, ASKED, MORE, ASKED) == of_chat(SYSTEM, ASKED, MORE, ASKED, MORE)
    assert of_chat(SYSTEM, ASKED, MORE, ASKED) != of_chat(SYSTEM, ASKED, MORE, MORE)


@pytest.mark.parametrize(
    "change", [("x", "", ""), ("", "", "x"), ("", "x", "")], ids=["at its beginning", "at its end", "in its length"]
)
def test_a_long_text_is_known_by_its_ends_and_its_length(change: tuple[str, str, str]) -> None:
    """Hashing all of it would cost more than the rest of the request path."""
    before, within, after = change
    text = {"role": "user", "content": "é" * 5000}
    changed = {"role": "user", "content": before + "é" * 2500 + within + "é" * 2500 + after}
    assert of_chat(text) != of_chat(changed)


@pytest.mark.parametrize("changed", ["x" + "a" * 4999, "a" * 4999 + "x"], ids=["first", "last"])
def test_either_end_of_a_long_text_counts(changed: str) -> None:
    """Where its length is the same."""
    assert of_chat({"role": "user", "content": "a" * 5000}) != of_chat({"role": "user", "content": changed})


def test_the_middle_of_a_long_text_does_not_count() -> None:
    """Two of the same length that differ there only meet on one replica, which does no harm."""
    texts = ["a" * 2000 + letter + "a" * 2000 for letter in "bc"]
    assert of_chat({"role": "user", "content": texts[0]}) == of_chat({"role": "user", "content": texts[1]})


@given(st.lists(st.text(max_size=8), min_size=2, max_size=2), st.lists(st.text(max_size=8), min_size=2, max_size=2))
def test_texts_do_not_run_into_each_other(one: list[str], other: list[str]) -> None:
    """`ab`, `c` is not `a`, `bc`."""
    keys = [of_content(*({"type": "text", "text": text} for text in texts)) for texts in (one, other)]
    assert (one == other) == (keys[0] == keys[1])


def test_parts_of_a_message_count() -> None:
    """Texts and images, both as their type says."""
    text = {"type": "text", "text": "What is this?"}
    images = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{letter}"}} for letter in "AB"]
    assert of_content(text, images[0]) != of_content(text, images[1])
    assert of_content(text) != of_content({"type": "text", "text": "What was this?"})
    assert of_content(text, {"type": "input_audio"}, {"type": "image_url", "image_url": "x"}) is not None


def test_messages_without_content_have_a_key() -> None:
    """An assistant's may be null."""
    assert of_chat(SYSTEM, {"role": "assistant", "content": None}, ASKED) is not None


def test_short_prompts_have_no_key() -> None:
    """They are read again in less time than a busier replica costs."""
    body: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": ""}]}
    body["messages"] = [{"role": "user", "content": "x" * (MIN_PREFIX_BYTES - len(orjson.dumps(body)) - 1)}]
    raw = orjson.dumps(body)
    assert len(raw) == MIN_PREFIX_BYTES - 1
    route = ROUTES["/v1/chat/completions"]
    assert prefix_key(parse_call(route, raw)) is None
    assert prefix_key(parse_call(route, raw + b" ")) is not None


def test_a_session_stands_for_the_beginning() -> None:
    """Whatever the client has made of what it sent before; a short request has it, too."""
    assert of_chat(ASKED, session=b"s1") is not None
    assert of_chat(SYSTEM, ASKED, session=b"s1") == of_chat(MORE, session=b"s1") == of_prompt("x", session=b"s1")
    assert of_chat(ASKED, session=b"s1") != of_chat(ASKED, session=b"s2")
    assert of_chat(SYSTEM, ASKED, session=b"s1") != of_chat(SYSTEM, ASKED)


def test_a_cache_key_tells_beginnings_apart() -> None:
    """It may be one for all of a program's requests, so it does not make them one; short requests have it, too."""
    assert of_chat(ASKED, prompt_cache_key="k1") is not None
    assert of_chat(ASKED, prompt_cache_key="k1") != of_chat(ASKED, prompt_cache_key="k2")
    assert of_chat(ASKED, prompt_cache_key="k1") != of_chat(MORE, prompt_cache_key="k1")
    assert of_chat(SYSTEM, ASKED, prompt_cache_key="k1") == of_chat(SYSTEM, ASKED, ANSWERED, prompt_cache_key="k1")


def test_a_user_tells_beginnings_apart() -> None:
    """Two people's conversations may begin alike; a person's short requests go to the least busy replica."""
    assert of_chat(SYSTEM, ASKED, user="ada") != of_chat(SYSTEM, ASKED, user="bob")
    assert of_chat(SYSTEM, ASKED, user="ada") != of_chat(SYSTEM, MORE, user="ada")
    assert of_chat(SYSTEM, ASKED, user="ada") != of_chat(SYSTEM, ASKED, prompt_cache_key="ada")
    assert of_chat(ASKED, user="ada") is None


def test_a_cache_key_of_another_type_is_none() -> None:
    """Engines judge it; nothing fails here."""
    assert of_chat(ASKED, prompt_cache_key=7) is None
    assert of_chat(SYSTEM, ASKED, prompt_cache_key=[]) == of_chat(SYSTEM, ASKED)


def test_the_beginning_of_a_prompt_is_its_first_four_thousand_characters() -> None:
    """A completion has no messages to tell where the first answer is."""
    prompt = "p" * 4096
    assert of_prompt(prompt) is not None
    assert of_prompt(prompt + "a") == of_prompt(prompt + "b" * 90_000)
    assert of_prompt(prompt + "a") != of_prompt("q" + prompt)


def test_a_prompt_may_be_given_as_tokens() -> None:
    """The first 1,024 of them."""
    tokens = list(range(1024))
    assert of_prompt([*tokens, 1]) == of_prompt([*tokens, 2, 3])
    assert of_prompt(tokens) != of_prompt([*tokens[:1023], 0])


@pytest.mark.parametrize("prompt", ["p" * 4096, list(range(1024))], ids=["text", "tokens"])
def test_of_several_prompts_the_first_counts(prompt: object) -> None:
    """They are answered by one replica."""
    assert of_prompt(prompt) == of_prompt([prompt]) == of_prompt([prompt, prompt])


def test_vectors_and_ranks_have_no_key() -> None:
    """Nothing of them is kept between requests."""
    texts = ["x" * 5000]
    assert prefix_key(call("/v1/embeddings", b"s1", input=texts)) is None
    assert prefix_key(call("/v1/rerank", b"s1", query="q", documents=texts)) is None


def scope_with(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "headers": list(headers)}


def test_headers_name_the_session() -> None:
    """Copilot's goes first; an empty one does not count."""
    interaction, session = (b"x-interaction-id", b"i1"), (b"x-session-id", b"s1")
    assert b"i1" == session_of(scope_with(session, interaction))
    assert b"s1" == session_of(scope_with((b"accept", b"*/*"), session))
    assert b"s1" == session_of(scope_with((b"x-interaction-id", b""), session))
    assert b"" == session_of(scope_with((b"accept", b"*/*")))
