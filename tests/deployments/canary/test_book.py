"""deployments.canary.book: what is read of the notes that routers leave."""

from math import nan

from configs.backends import CanaryRule
from deployments.canary.book import MAX_SILENCE_S, read_pages, tally_page
from router.canary.tally import Course, Sides, Tally
from router.canary.trial import Trial


def sides(num_ok: int) -> Sides:
    tally = Tally()
    tally.counts["ok"] = num_ok
    return {"canary": Course(tally, tally)}


def test_what_a_router_that_is_gone_called_recent_is_not_for_ever() -> None:
    """A canary that breaks is judged by what happens now; in the total it stays."""
    pages = dict([tally_page("gone", "t", sides(1000), 0.0), tally_page("runs", "t", sides(7), MAX_SILENCE_S)])
    before, after = (read_pages(pages, now).tallies["t"]["canary"] for now in (MAX_SILENCE_S, MAX_SILENCE_S + 1))
    assert (1007, 1007) == (before.total.num_ok, before.recent.num_ok)
    assert (1007, 7) == (after.total.num_ok, after.recent.num_ok)


def test_a_note_that_is_none_spoils_nothing() -> None:
    """Whatever another release, or somebody else, has put there."""
    key, page = tally_page("runs", "t", sides(7), 0.0)
    others = {f"canary:tally:other:{number}": note for number, note in enumerate((b"7", b"{}", b"[", b'{"of":"t"}'))}
    lists = b'{"counts":{},"ttft_s":[],"tpot_s":[]}'
    others["canary:tally:other:lists"] = b'{"of":"t","sides":{"canary":{"total":%b}}}' % lists
    assert 7 == read_pages({**others, key: page}, 1.0).tallies["t"]["canary"].recent.num_ok


def test_a_canary_without_a_part_is_none() -> None:
    """Of a percentage that is no number, say: a router that took it over could not share any session."""
    record = Trial("t1", "m", "new", None, nan, (), 0.0, CanaryRule(), "base", 100.0).encode()
    assert () == read_pages({"canary:record:m:1": record}, 1.0).trials
