"""The metrics as operators see them: on Ray's Prometheus endpoint, after real traffic."""

import asyncio
import itertools
import json
import math
import time
from collections.abc import Callable

import openai
from engine_metrics import engine_metric
from house import House
from prometheus_scrape import Scrape, exported_name, scrape
from streaming_load import PROMPT, Outcome, Pace, sdk, streamed, whole
from waiting import DEADLINE_S, eventually

from router.metrics import (
    AUDIO_SECONDS,
    AWAKE,
    BACKEND_ATTEMPTS,
    BACKEND_FIRST_TOKEN,
    BACKEND_TOKEN_TIME,
    BREAKER_OPENINGS,
    COMPLETION_TOKENS,
    ENGINE_KV_CACHE,
    ENGINE_RUNNING,
    ENGINE_WAITING,
    HEDGES,
    INTER_TOKEN_LATENCY,
    MERGED_INPUTS,
    METRICS,
    PROMPT_TOKENS,
    QUEUE_TIME,
    QUEUED,
    REFUSED_RETRIES,
    REQUEST_LATENCY,
    REQUESTS,
    RESUMES,
    RETRIES,
    ROUTED,
    RUNNING,
    SHADOW_DIFFERENCES,
    SHADOW_REQUESTS,
    SHADOW_SECONDS,
    STARTING,
    SUSPICIONS,
    SWAP_STATE_TIME,
    SWAP_TIME,
    SWAP_WAITING,
    SWAPS,
    TIME_TO_FIRST_TOKEN,
    Metric,
)

TEXT = "/v1/completions"
CHAT = "/v1/chat/completions"
SETTLED_S, NUM_SETTLED_LOOKS = 6.0, 20
"""
Routers hand over their values once a second, and Ray reports every other second here. Where the whole machine stands
still for as long, nothing is looked at either.
"""
OF_CANARIES = (
    BACKEND_ATTEMPTS, BACKEND_FIRST_TOKEN, BACKEND_TOKEN_TIME, SHADOW_REQUESTS, SHADOW_DIFFERENCES, SHADOW_SECONDS,
)  # fmt: skip
OF_TROUBLE = (REFUSED_RETRIES, RESUMES, HEDGES, QUEUED, QUEUE_TIME, SUSPICIONS)
OF_TURNS = (SWAPS, SWAP_TIME, SWAP_STATE_TIME, AWAKE, STARTING, SWAP_WAITING)
ELSEWHERE = (AUDIO_SECONDS, MERGED_INPUTS, ROUTED, *OF_CANARIES, *OF_TROUBLE, *OF_TURNS)
"""
Metrics that only houses with recordings, embeddings, rules, several backends or models that take turns have, or with
more trouble than here.
"""
HISTOGRAMS = [metric for metric in METRICS if metric.kind == "histogram" and metric not in ELSEWHERE]
NUM_STREAMS = 4
PACE = Pace(20, token_ms=30, prefill_ms=120)


async def _settled(house: House) -> Scrape:
    """The metrics once nothing more of earlier requests comes in."""
    seen: list[tuple[float, float]] = []  # as long as nothing has changed

    def look() -> Scrape | None:
        scraped, now = scrape(house), time.monotonic()
        total = _num_requests(scraped) + scraped.total(f"{exported_name(REQUEST_LATENCY)}_count")
        if seen and seen[0][0] != total:
            seen.clear()
        seen.append((total, now))
        return scraped if now - seen[0][1] > SETTLED_S and len(seen) > NUM_SETTLED_LOOKS else None

    return await eventually("the metrics settle", look)


async def _added(house: House, before: Scrape, is_enough: Callable[[Scrape], bool]) -> Scrape:
    """What was added since, once it is enough. Processes report every other second."""

    def look() -> Scrape | None:
        added = scrape(house).since(before)
        return added if is_enough(added) else None

    return await eventually("the metrics are exported", look)


def _num_requests(scraped: Scrape, **labels: str) -> float:
    return scraped.total(exported_name(REQUESTS), **labels)


async def test_requests_are_counted_by_code(pair: House) -> None:
    """Each request is counted once, by its route and by how it ended."""
    before = await _settled(pair)
    async with sdk(pair) as client, sdk(pair).copy(api_key="wrong") as stranger:
        asked = [
            *(whole(client, Pace(2)) for _ in range(3)),
            *(streamed(client, Pace(2), Outcome()) for _ in range(2)),
            *(_refused(client, model="gpt-5") for _ in range(2)),
            _refused(client, model="simulated", max_tokens=0),
            _refused(client, model="simulated", content="word " * 50_000),
            *(_refused(stranger, model="simulated") for _ in range(2)),
            _refused(client, model="simulated", extra_body={"simulated": {"status": 500}}),
        ]
        for one in asked:
            await one
    latencies = f"{exported_name(REQUEST_LATENCY)}_count"
    added = await _added(  # Ray's agent takes over one metric after another
        pair, before, lambda added: min(_num_requests(added), added.total(latencies)) >= len(asked)
    )
    assert {
        (TEXT, "ok"): 5,
        (CHAT, "model_not_found"): 2,
        (CHAT, "invalid_request"): 1,
        (CHAT, "context_length_exceeded"): 1,
        (CHAT, "invalid_api_key"): 2,
        (CHAT, "engine_failed"): 1,
    } == _by_route_and_code(added)
    assert len(asked) == added.total(latencies)


def _by_route_and_code(added: Scrape) -> dict[tuple[str, str], float]:
    counts: dict[tuple[str, str], float] = {}
    for labels, value in added.of(exported_name(REQUESTS)):
        key = labels["route"], labels["code"]
        counts[key] = counts.get(key, 0) + value
    return {key: value for key, value in counts.items() if value}


async def _refused(
    client: openai.AsyncOpenAI, *, content: str = "hi", max_tokens: int = 1, model: str, extra_body: object = None
) -> None:
    try:
        await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": content}],
            max_tokens=max_tokens,
            extra_body=extra_body,
        )
    except openai.APIStatusError:
        return
    raise AssertionError("it was not refused")


async def test_streams_are_measured(pair: House) -> None:
    """TTFT, ITL, latency and tokens of four streams are in the right buckets and sums."""
    before = await _settled(pair)
    async with sdk(pair) as client:
        usage = (await client.completions.create(model="simulated", prompt=PROMPT, extra_body=PACE.extra_body)).usage
        assert usage is not None
        await asyncio.gather(*(streamed(client, PACE, Outcome()) for _ in range(NUM_STREAMS)))
    num_requests = NUM_STREAMS + 1
    await _added(pair, before, lambda added: _num_requests(added, code="ok") >= num_requests)
    added = (await _settled(pair)).since(before)  # Ray's agent takes over a histogram bucket by bucket
    for metric in HISTOGRAMS:
        _assert_histogram(added, metric)
    counts = {metric.name: added.total(f"{exported_name(metric)}_count") for metric in HISTOGRAMS}
    sums = {metric.name: added.total(f"{exported_name(metric)}_sum") for metric in HISTOGRAMS}
    assert (NUM_STREAMS, num_requests) == (counts[TIME_TO_FIRST_TOKEN.name], counts[REQUEST_LATENCY.name])
    assert NUM_STREAMS <= counts[INTER_TOKEN_LATENCY.name] <= NUM_STREAMS * (PACE.num_tokens + 2)
    # The engine's pace is a lower bound on what a client can see of it; sums are Ray's own, of the middles of buckets.
    assert 0 == added.total(f"{exported_name(TIME_TO_FIRST_TOKEN)}_bucket", le="0.1")
    assert sums[TIME_TO_FIRST_TOKEN.name] >= NUM_STREAMS * 0.12
    # A router that is late to read the first token reads the next ones sooner after it.
    assert sums[TIME_TO_FIRST_TOKEN.name] + sums[INTER_TOKEN_LATENCY.name] >= NUM_STREAMS * 0.45
    assert sums[REQUEST_LATENCY.name] >= num_requests * 0.6
    assert num_requests * usage.prompt_tokens == added.total(exported_name(PROMPT_TOKENS), model="simulated")
    assert num_requests * PACE.num_tokens == added.total(exported_name(COMPLETION_TOKENS), model="simulated")


def _assert_histogram(added: Scrape, metric: Metric) -> None:
    """Its buckets are those of the table, each holds what the one before it holds, and the last one holds all."""
    by_series: dict[frozenset[tuple[str, str]], dict[float, float]] = {}
    for labels, value in added.of(f"{exported_name(metric)}_bucket"):
        bound = float(labels.pop("le"))
        by_series.setdefault(frozenset(labels.items()), {})[bound] = value
    assert by_series
    for buckets in by_series.values():
        assert [*metric.buckets, math.inf] == sorted(buckets)
        in_order = [buckets[bound] for bound in sorted(buckets)]
        assert all(lower <= upper for lower, upper in itertools.pairwise(in_order))
    total = added.total(f"{exported_name(metric)}_count")
    assert total == sum(buckets[math.inf] for buckets in by_series.values())


async def test_running_requests_rise_and_fall(pair: House) -> None:
    """What runs is seen while it runs, by the routers' account and by the engines', and is gone afterwards."""
    outcomes = [Outcome() for _ in range(NUM_STREAMS)]
    gauges = [exported_name(RUNNING), exported_name(ENGINE_RUNNING)]
    await eventually("both routers tell", lambda: len({one["router"] for one, _ in scrape(pair).of(gauges[0])}) >= 2)
    async with sdk(pair) as client:
        tasks = [asyncio.create_task(streamed(client, Pace(4000, token_ms=100), outcome)) for outcome in outcomes]
        await eventually("all run", lambda: [NUM_STREAMS] * 2 == [scrape(pair).total(gauge) for gauge in gauges])
        assert 0 == scrape(pair).total(exported_name(ENGINE_WAITING))
        usage = await eventually("the cache is used", lambda: _highest(scrape(pair), ENGINE_KV_CACHE))
        assert 0 < usage <= 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await eventually("none runs", lambda: [0, 0] == [scrape(pair).total(gauge) for gauge in gauges])


def _highest(scraped: Scrape, metric: Metric) -> float:
    return max((value for _, value in scraped.of(exported_name(metric))), default=0.0)


async def test_retries_are_counted_and_no_metric_is_missing(pair: House) -> None:
    """
    After a killed engine its requests' second attempts are counted, as is that it was lost, and every metric of the
    table is exported, once a batch of one line has been answered, too.
    """
    before = scrape(pair)
    victim = pair.engines()[0]
    async with sdk(pair) as client:
        await streamed(client, PACE, Outcome())
        requests = [asyncio.create_task(whole(client, Pace(10, prefill_ms=8000))) for _ in range(8)]
        await eventually("the victim is busy", lambda: engine_metric(victim, "vllm:num_requests_running") > 0)
        victim.process.kill()
        outcomes = await asyncio.gather(*requests)
    assert [True] * 8 == [outcome.is_whole for outcome in outcomes]
    retries, openings = exported_name(RETRIES), exported_name(BREAKER_OPENINGS)
    added = await _added(pair, before, lambda added: min(added.total(retries), added.total(openings)) > 0)
    assert added.total(retries) == added.total(retries, reason="engine_unavailable", engine="simulated")
    async with sdk(pair) as client:
        assert "completed" == await _batch_of_one_line(client)
    await eventually("all are exported", lambda: [] == _missing(scrape(pair)))


async def _batch_of_one_line(client: openai.AsyncOpenAI) -> str:
    """The state in which it ended."""
    body = {"model": "default", "prompt": PROMPT, "max_tokens": 1}
    line = json.dumps({"custom_id": "only", "method": "POST", "url": TEXT, "body": body}).encode()
    file = await client.files.create(file=("one.jsonl", line), purpose="batch")
    batch = await client.batches.create(input_file_id=file.id, endpoint=TEXT, completion_window="24h")

    async with asyncio.timeout(DEADLINE_S):
        while batch.status in ("validating", "in_progress", "finalizing"):
            await asyncio.sleep(0.1)
            batch = await client.batches.retrieve(batch.id)
    return batch.status


def _missing(scraped: Scrape) -> list[str]:
    return [one.name for one in METRICS if one not in ELSEWHERE and not _is_exported(scraped, one)]


def _is_exported(scraped: Scrape, metric: Metric) -> bool:
    name = exported_name(metric) + ("_count" if metric.kind == "histogram" else "")
    return any(set(metric.labels) <= set(labels) for labels, _ in scraped.of(name))
