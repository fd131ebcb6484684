"""Keys in the path, at a real listener: they work, they go before dummies, and nothing repeats them."""

import logging

import orjson
import pytest
from door import KEY, Door, OpenDoor
from scripted_engine import ScriptedEngine
from wire import CHAT, CHAT_STREAM, HELLO_STREAM

from deployments.editors.client import Key, Setup
from router.errors import InvalidApiKey
from router.http.auth import ANONYMOUS_TENANT, KeyRing, tenant_of


async def test_every_route_is_below_a_key(locked: Door, engine: ScriptedEngine) -> None:
    """Generations, lists, errors and health, as they are without one."""
    engine.script(HELLO_STREAM)
    streamed = await locked.post(CHAT_STREAM, f"/k/{KEY}/v1/chat/completions")
    models = await locked.ask("GET", f"/k/{KEY}/v1/models")
    health = await locked.ask("GET", f"/k/{KEY}/health")
    message = await locked.post({**CHAT, "max_tokens": 1}, f"/k/{KEY}/v1/messages")
    assert [200] * 4 == [answer.status for answer in (streamed, models, health, message)]
    assert "/v1/chat/completions" == engine.requests[0].path


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
async def test_the_path_goes_before_what_a_client_sends_by_itself(header: str, locked: Door) -> None:
    """The extension that needs this sends `Bearer dummy` with every chat."""
    value = "Bearer dummy" if header == "authorization" else "dummy"
    answer = await locked.post(CHAT, f"/k/{KEY}/v1/chat/completions", {header: value})
    assert 200 == answer.status


@pytest.mark.parametrize("path", ["/k/wrong/v1/models", "/k//v1/models", "/k/v1/models", "/v1/models"])
async def test_another_key_is_refused(path: str, locked: Door) -> None:
    """As in a header."""
    answer = await locked.ask("GET", path)
    assert (401, "invalid_api_key") == (answer.status, answer.error["code"])


@pytest.mark.parametrize("path", ["/nothing", "/v1/models/nobody", "/v1/chat/completions", "/v1/messages", ""])
async def test_nothing_repeats_it(path: str, locked: Door, caplog: pytest.LogCaptureFixture) -> None:
    """Neither errors, nor logs, nor what is counted."""
    caplog.set_level(logging.DEBUG)
    answers = [await locked.ask("GET", f"/k/{KEY}{path}"), await locked.post({}, f"/k/{KEY}{path}")]
    said = b"".join(answer.body + repr(answer.headers).encode() for answer in answers)
    assert KEY.encode() not in said
    assert KEY not in caplog.text
    assert KEY not in repr(locked.sink.records)


async def test_keys_in_paths_can_be_turned_off(locked: Door) -> None:
    """Nothing is there then, and what was sent is not repeated."""
    locked.state.keys = KeyRing([KEY], are_in_paths=False)
    answer = await locked.ask("GET", f"/k/{KEY}/v1/models", {"x-api-key": KEY})
    assert (404, "There is nothing at /k/***/v1/models.") == (answer.status, answer.error["message"])


@pytest.mark.parametrize("key", ["schlüssel", "ab/c+d==", "50%?#"])
async def test_letters_of_any_kind(key: str, open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """A key that is written with percent signs, as `enginehouse editors` writes it, is the key itself."""
    door = await open_door(keys=[key])
    door.serve_with(engine.replica("r1"))
    address = Setup("", [], Key("K", key)).keyed_origin
    answer = await door.ask("GET", f"{address}/v1/models")
    assert ["m", "default"] == [card["id"] for card in orjson.loads(answer.body)["data"]]


@pytest.mark.parametrize("path", ["/k/ab%2Fc%2B%25==/v1/models", "/k/ab%2fc+%25==/v1/models"])
async def test_a_slash_in_a_key_does_not_end_it(
    path: str, open_door: OpenDoor, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys that are random bytes in base64 have some; what is behind it is not taken for a path, and repeated."""
    caplog.set_level(logging.DEBUG)
    door = await open_door(keys=["ab/c+%=="])
    door.serve_with(engine.replica("r1"))
    assert 200 == (await door.ask("GET", path)).status
    door.state.keys = KeyRing(["ab/c+%=="], are_in_paths=False)
    answer = await door.ask("GET", path, {"x-api-key": "ab/c+%=="})
    assert "There is nothing at /k/***/v1/models." == answer.error["message"]
    assert "c+%" not in caplog.text


async def test_an_empty_key_is_none(locked: Door) -> None:
    """An address that was made without a key does not hide that of a header."""
    assert 200 == (await locked.ask("GET", "/k//v1/models", {"x-api-key": KEY})).status


async def test_the_letter_before_a_key_may_be_written_otherwise(locked: Door) -> None:
    """What servers decode is the same path."""
    assert 200 == (await locked.ask("GET", f"/%6b/{KEY}/v1/models")).status


# those without a key


def scope(key: str | None) -> dict[str, object]:
    headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
    return {"headers": headers}


@pytest.mark.parametrize("key", [None, "", "dummy"])
def test_no_key_is_a_tenant_where_that_is_allowed(key: str | None) -> None:
    """An empty one and a client's own dummy are none."""
    ring = KeyRing([KEY], serves_anonymous=True, dummies=["dummy"])
    assert ANONYMOUS_TENANT == ring.check(scope(key))
    assert ANONYMOUS_TENANT == ring.check_tenant(ANONYMOUS_TENANT)


@pytest.mark.parametrize("key", [None, "", "dummy"])
def test_no_key_is_refused_otherwise(key: str | None) -> None:
    """With words that tell it from a wrong one."""
    with pytest.raises(InvalidApiKey, match="No API key was given"):
        KeyRing([KEY], dummies=["dummy"]).check(scope(key))


def test_a_wrong_key_is_never_nobody() -> None:
    """Whoever mistypes a key is told so, and does not become somebody else."""
    with pytest.raises(InvalidApiKey, match="not accepted"):
        KeyRing([KEY], serves_anonymous=True, dummies=["dummy"]).check(scope("wrong"))


def test_a_dummy_that_is_a_key_is_a_key() -> None:
    """What is in the list of keys counts, also beside another."""
    ring = KeyRing(["dummy"], serves_anonymous=True, dummies=["dummy"])
    sent = scope("dummy")["headers"]
    assert isinstance(sent, list)
    assert tenant_of("dummy") == ring.check({"headers": sent})
    assert tenant_of("dummy") == ring.check({"headers": [*sent, (b"x-api-key", b"wrong")]})


def test_a_dummy_does_not_hide_the_key_in_another_header() -> None:
    """SDKs send a Bearer, whatever their user has set beside it."""
    headers = [(b"authorization", b"Bearer dummy"), (b"x-api-key", KEY.encode())]
    assert tenant_of(KEY) == KeyRing([KEY], dummies=["dummy"]).check({"headers": headers})
