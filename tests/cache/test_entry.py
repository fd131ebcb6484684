import hmac
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.entry import Entry, Envelope
from cache.keys import Key, make_key

SIGNING_KEY = b"a secret for the tests"
KEY = make_key({"model": "m"}, ("m",))

_times = st.integers(0, 2**52).map(lambda ms: ms / 1000)
_entries = st.builds(
    Entry,
    payload=st.binary(max_size=300) | st.binary(max_size=20).map(lambda part: part * 50),
    metadata=st.binary(max_size=40),
    stored_at_s=_times,
    ttl_s=_times,
)
_limits = st.sampled_from([0, 100, 10_000])


@given(_entries, _limits)
def test_what_was_sealed_is_opened(entry: Entry, limit: int) -> None:
    """Compressed or not."""
    envelope = Envelope(SIGNING_KEY, limit)
    assert entry == envelope.open(KEY, envelope.seal(KEY, entry))


@given(_entries, _limits)
def test_every_single_bit_counts(entry: Entry, limit: int) -> None:
    """With any one bit the other way nothing is opened."""
    envelope = Envelope(SIGNING_KEY, limit)
    sealed = envelope.seal(KEY, entry)
    number = int.from_bytes(sealed)
    flipped = ((number ^ (1 << bit)).to_bytes(len(sealed)) for bit in range(len(sealed) * 8))
    assert [] == [bits for bits in flipped if envelope.open(KEY, bits) is not None]


@given(_entries, _limits)
def test_every_byte_is_needed(entry: Entry, limit: int) -> None:
    """Cut anywhere, from either end, nothing is opened."""
    envelope = Envelope(SIGNING_KEY, limit)
    sealed = envelope.seal(KEY, entry)
    cut = [part for length in range(len(sealed)) for part in (sealed[:length], sealed[len(sealed) - length :])]
    assert [] == [part for part in cut if envelope.open(KEY, part) is not None]


@given(st.binary(max_size=400))
def test_foreign_bytes_are_not_opened(foreign: bytes) -> None:
    """Whatever somebody else wrote there."""
    assert None is Envelope(SIGNING_KEY, 0).open(KEY, foreign)


@pytest.mark.parametrize(("position", "name"), [(0, "magic"), (2, "version"), (3, "flags")])
def test_another_version_is_not_opened(position: int, name: str) -> None:
    """Not even with the right signature: another layout may stand behind it."""
    envelope = Envelope(SIGNING_KEY, 10_000)
    content = bytearray(envelope.seal(KEY, Entry.now(b"yes", 60))[:-32])
    opened = []
    for change in (0, 2):
        content[position] ^= change
        signature = hmac.digest(SIGNING_KEY, KEY.digest + content, "sha256")
        opened.append(envelope.open(KEY, bytes(content) + signature) is not None)
    assert [True, False] == opened, name


@given(st.binary(max_size=200))
def test_signed_nonsense_is_not_opened(content: bytes) -> None:
    """Whatever a version to come signs with our secret, it is a miss and no exception."""
    for flags in (b"\0", b"\1"):
        nonsense = b"EH\1" + flags + content
        signature = hmac.digest(SIGNING_KEY, KEY.digest + nonsense, "sha256")
        assert None is Envelope(SIGNING_KEY, 0).open(KEY, nonsense + signature)


def test_an_entry_moved_to_another_key_is_not_opened() -> None:
    """Who can write to Redis cannot answer one question with another's answer."""
    envelope = Envelope(SIGNING_KEY, 0)
    sealed = envelope.seal(KEY, Entry.now(b"yes", 60))
    assert None is envelope.open(Key(os.urandom(32), KEY.groups), sealed)


def test_an_entry_of_another_secret_is_not_opened() -> None:
    """Who does not know the secret cannot plant an answer."""
    planted = Envelope(b"somebody else's secret", 0).seal(KEY, Entry.now(b"yes", 60))
    assert None is Envelope(SIGNING_KEY, 0).open(KEY, planted)


def test_only_large_payloads_are_compressed() -> None:
    """And those get smaller."""
    entry = Entry.now(b"a" * 1000, 60)
    uncompressed, compressed = (len(Envelope(SIGNING_KEY, limit).seal(KEY, entry)) for limit in (1000, 999))
    assert (True, True) == (uncompressed > 1000, compressed < 120)


def test_what_does_not_compress_is_left_alone() -> None:
    """A payload of noise costs no byte more than its header and signature."""
    noise = Entry.now(os.urandom(5000), 60)
    assert 5000 + 28 + 32 == len(Envelope(SIGNING_KEY, 0).seal(KEY, noise))


def test_a_short_secret_is_refused() -> None:
    """Sixteen bytes at least."""
    with pytest.raises(ValueError, match="at least 16 bytes long, not 15"):
        Envelope(b"x" * 15, 0)


def test_an_entry_from_a_clock_ahead_of_ours_is_new() -> None:
    """An age is never negative."""
    assert 0 == Entry(b"", b"", time.time() + 100, 60).age_s()
