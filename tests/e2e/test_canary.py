"""Two engines behind one name, in a house of two routers: shared by weight, and as a canary by the command line."""

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import openai
import pytest
from house import ROOT, House, open_house
from house_files import Json, free_port, model, router, router_of, serve_file
from prometheus_scrape import exported_name, scrape
from waiting import DEADLINE_S, eventually

from router.metrics import SHADOW_REQUESTS

pytestmark = pytest.mark.soak

SESSIONS = [f"session-{number}" for number in range(40)]
WHATEVER_THE_PACE = ("--max-ttft-increase-ratio", "100", "--max-tpot-increase-ratio", "100")
"""Of a rule that is to look at failures: of answers of milliseconds one may take twice as long as another."""


@pytest.fixture(scope="module")
def forked() -> Iterator[House]:
    """`shared` is served by `one` and `two`, with weights of 3 to 1; `coder` by `one` alone."""
    table = router(free_port(), {"coder": ["default"], "shared": []}, num_replicas=2)
    rows = table["deployments"][0]["user_config"]["models"]
    rows["coder"]["application"] = "one"
    rows["shared"] = {"backends": [{"application": "one", "weight": 3}, {"application": "two", "weight": 1}]}
    with open_house(serve_file(table, [model("one"), model("two")])) as house:
        yield house


@pytest.fixture
async def client(forked: House) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=forked.base_url, api_key="none", max_retries=0, timeout=60) as sdk:
        yield sdk


async def backend_of(client: openai.AsyncOpenAI, name: str, session: str, **simulated: object) -> str:
    """Which engine answers in a session: its own name stands in its answers. Empty where the stream failed."""
    pace = {"num_tokens": 4, "inter_token_ms": 0, "prefill_base_ms": 0}
    found = ""
    try:
        stream = await client.chat.completions.create(
            model=name,
            messages=[{"role": "user", "content": "hello"}],
            stream=True,
            extra_headers={"x-session-id": session},
            extra_body={"simulated": {**pace, **simulated}},
        )
        async for chunk in stream:
            found = chunk.model
    except openai.APIError:
        return ""
    return found


async def backends(client: openai.AsyncOpenAI, name: str, sessions: Sequence[str] = SESSIONS) -> dict[str, str]:
    return {session: await backend_of(client, name, session) for session in sessions}


def canary(house: House, *words: str, code: int = 0) -> str:
    """What `enginehouse canary` prints, which ends with this exit code."""
    ended, told = run_canary(house, *words)
    assert code == ended, told
    return told


def run_canary(house: House, *words: str) -> tuple[int, str]:
    """The exit code, and what is printed, as an operator runs it: with the Ray address that the house has told."""
    address = re.search(r"Ray address: (\S+)", house.output())
    assert address
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "canary", *words, "--address", address[1]],
        cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr if done.returncode else done.stdout


def newest(house: House) -> dict[str, Any]:
    """Of `coder`, the canary that began last, as `status` shows it."""
    found: list[dict[str, Any]] = json.loads(canary(house, "status", "coder", "--json"))
    return found[-1]


async def test_sessions_are_shared_by_weight_and_stay(forked: House, client: openai.AsyncOpenAI) -> None:
    """About a quarter of the sessions has the backend of weight 1, whichever router is asked, and keeps it."""
    first = await backends(client, "shared")
    async with openai.AsyncOpenAI(base_url=forked.base_url, api_key="none", max_retries=0) as other:
        assert first == await backends(other, "shared")
    counts = Counter(first.values())
    assert {"one", "two"} == counts.keys()
    assert 4 <= counts["two"] <= 16


async def test_a_canary_grows_and_becomes_the_models_own(forked: House, client: openai.AsyncOpenAI) -> None:
    """Who has the canary keeps it when it grows; promoted it has all sessions, and taken back none."""
    canary(forked, "start", "coder", "--application", "two", "--percent", "20", "--no-rule")
    few = {session for session, name in (await backends(client, "coder")).items() if name == "two"}
    canary(forked, "start", "default", "--application", "two", "--percent", "60", "--no-rule")
    more = {session for session, name in (await backends(client, "coder")).items() if name == "two"}
    shown = newest(forked)
    num_promoted = sum(await asyncio.gather(*(asyncio.to_thread(_promotes, forked) for _ in range(2))))
    promoted = await backends(client, "coder")
    canary(forked, "abort", "coder", "--reason", "after the test")

    assert 1 == num_promoted, "of two operators at once exactly one does it"
    assert few < more < set(SESSIONS)
    assert len(few) + len(more) == shown["sides"]["canary"]["total"]["num_ok"]
    assert 2 * len(SESSIONS) == sum(shown["sides"][side]["total"]["num_ok"] for side in ("stable", "canary"))
    assert None not in [shown["sides"][side]["total"]["ttft_ms"]["p50"] for side in ("stable", "canary")]
    assert {"two"} == set(promoted.values())
    assert {"one"} == set((await backends(client, "coder")).values())
    assert "superseded" == newest(forked)["state"]


def _promotes(house: House) -> bool:
    """Whether this command does it: the other one is told that there is none, or how it ended."""
    code, told = run_canary(house, "promote", "coder")
    reasons = ("no canary of 'coder' runs", "was promoted at the same moment: by command", "different model tables")
    assert code == 0 or any(reason in told for reason in reasons), told
    return code == 0


async def test_a_canary_that_fails_is_aborted_by_itself(forked: House, client: openai.AsyncOpenAI) -> None:
    """Errors on its side alone end it, with the figures as the reason, in the status and in every router's log."""
    rule = ("--min-requests", "10", *WHATEVER_THE_PACE)
    canary(forked, "start", "coder", "--application", "two", "--percent", "50", *rule)
    ours = await backends(client, "coder")
    for session in (session for session, name in ours.items() if name == "two"):
        assert "" == await backend_of(client, "coder", session, error_after_tokens=0)
        # A success after each: else it would be passed over, and the others would fail on the same requests.
        if await backend_of(client, "coder", session) == "one":
            break  # the rule is applied each second, and needs no more than six failures of these

    reason = await eventually("the canary is aborted", lambda: newest(forked)["reason"])
    assert re.search(r"^by its rule: .*, \d+ of its \d+ requests failed \(.*%\), of the others' \d+ \d+", reason)
    logged = "the canary two of the model 'coder' was aborted: by its rule"
    await eventually("both routers have heard of it", lambda: forked.replica_logs("router").count(logged) == 2)
    assert {"one"} == set((await backends(client, "coder")).values())


async def test_a_shadow_is_compared_and_answers_nobody(forked: House, client: openai.AsyncOpenAI) -> None:
    """Every request is copied, all answers are the stable one's, and the status has both sides."""
    canary(forked, "start", "coder", "--application", "two", "--shadow-percent", "100")
    assert {"one"} == set((await backends(client, "coder", SESSIONS[:10])).values())

    def all_compared() -> bool:
        sides = newest(forked)["sides"]
        return bool("shadow" in sides and sides["shadow"]["total"]["compared"] == {"equal": 10})

    await eventually("all copies are compared", all_compared)
    assert "canary two, running" in canary(forked, "status")
    canary(forked, "abort", "coder")
    await eventually("the metrics are exported", lambda: _equal_copies(forked) == 10)


def _equal_copies(house: House) -> float:
    return scrape(house).total(exported_name(SHADOW_REQUESTS), model="coder", backend="two", outcome="equal")


def test_what_cannot_be_tried_is_refused(forked: House) -> None:
    """Each refusal names what is wrong."""
    three = ("start", "coder", "--application", "three", "--percent", "5")
    assert "no application 'three' is deployed" in canary(forked, *three, code=1)
    assert "no canary of 'coder' runs" in canary(forked, "promote", "coder", code=1)


async def test_a_router_that_starts_anew_knows_the_canary(forked: House, client: openai.AsyncOpenAI) -> None:
    """It is not in the file, and the router that learned of it first is gone."""
    canary(forked, "start", "coder", "--application", "two", "--percent", "50", "--no-rule")
    before = await backends(client, "coder")
    ready, killed = forked.ready_replicas(), forked.routers()
    for process in killed:
        process.kill()
    await eventually("other routers listen", lambda: len({*forked.routers()} - {*killed}) == 2)
    # They do so after a second at the latest; which one answers a new connection is the kernel's choice.
    await eventually("both know the replicas", lambda: all(forked.ready_replicas() == ready for _ in range(16)))
    async with openai.AsyncOpenAI(base_url=forked.base_url, api_key="none", max_retries=3) as other:
        assert before == await backends(other, "coder")
    assert {"one", "two"} == set(before.values())


async def test_a_file_with_other_backends_ends_a_canary(forked: House, client: openai.AsyncOpenAI) -> None:
    """What was promoted is written into the file, which is what holds from then on."""
    canary(forked, "promote", "coder")

    def write_it_down(config: Json) -> None:
        router_of(config)["deployments"][0]["user_config"]["models"]["coder"]["application"] = "two"

    forked.redeploy(write_it_down)
    await eventually("the canary is over", lambda: newest(forked)["state"] == "superseded")
    assert {"two"} == set((await backends(client, "coder")).values())
    assert "the deployed file has other backends for the model" == newest(forked)["reason"]
