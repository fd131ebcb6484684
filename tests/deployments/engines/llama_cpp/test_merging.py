"""Merged requests for embeddings, before the real llama.cpp: its tokeniser's counts are what it bills."""

import asyncio
import struct
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from gguf_files import write_reranker

from configs.engine import LlamaCppSettings
from configs.router import ListenerSettings, ModelRoute, RouterUserConfig
from deployments.engines.runtime import EngineRuntime
from router.call import ROUTES, Account, parse_call
from router.errors import ContextLengthExceeded
from router.http.auth import KeyRing
from router.merging.merged import making_of
from router.metrics import MERGED_INPUTS, Metric
from router.models.table import ModelTable
from router.replicas.registry import Replica
from router.state import RouterState

pytest.importorskip("xllamacpp")

StartEngine = Callable[..., Awaitable[EngineRuntime]]

ROUTE = ROUTES["/v1/embeddings"]
AWKWARD: list[Any] = [
    "cats purr",
    ["dogs bark", " leading and trailing ", "a\nb\t\u00e9\U0001f600"],
    "special <|im_start|> <s> [SEP] [CLS]",
    ["<|endoftext|>", "x"],
    "rivers flow",
]


class Sink:
    """Keeps the sizes of calls."""

    def __init__(self) -> None:
        self.sizes: list[float] = []

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:  # noqa: ARG002 - the contract's
        if metric is MERGED_INPUTS:
            self.sizes.append(value)

    def record_all(self, metric: Metric, values: Sequence[float], labels: dict[str, str]) -> None: ...


class Taken:
    """One client's answer."""

    on_full = on_drained = full_since = status = unread = None
    has_content = is_complete = False

    def __init__(self) -> None:
        self.document: dict[str, Any] = {}

    def start_stream(self) -> None: ...

    def write(self, data: bytes, *, is_last: bool) -> None: ...

    def send_whole(self, status: int, body: bytes) -> None:
        assert 200 == status
        self.document = orjson.loads(body)

    @property
    def num_tokens(self) -> int:
        num_tokens: int = self.document["usage"]["prompt_tokens"]
        return num_tokens

    @property
    def vectors(self) -> list[tuple[float, ...]]:
        packed = [b64decode(entry["embedding"]) for entry in self.document["data"]]
        return [struct.unpack(f"<{len(data) // 4}f", data) for data in packed]


def router_before(runtime: EngineRuntime, sink: Sink) -> RouterState:
    address = runtime.address
    table = ModelTable(RouterUserConfig(models={"m": ModelRoute(application="a")}))
    state = RouterState(table, KeyRing([]), ListenerSettings(), sink, "router")
    replica = Replica("r", "m", address.host, address.port, address.secret, "llama_cpp", "llama_cpp", task="embed")
    state.take_over_replicas("a", [replica])
    return state


async def embed(state: RouterState, value: object) -> Taken:
    """One request, by way of what makes its answer."""
    taken = Taken()
    call = parse_call(ROUTE, orjson.dumps({"model": "m", "input": value, "encoding_format": "base64"}))
    account = Account(state.sink, 0.0, state.loop.time, ROUTE.path)
    await making_of(state, call, state.table.resolve("m"), taken, account, b"request").run()
    return taken


@pytest.mark.parametrize("is_bert", [False, True], ids=["smollm2", "bert"])
async def test_a_merged_request_gets_what_it_gets_alone(
    start_engine: StartEngine, tmp_path: Path, *, is_bert: bool
) -> None:
    """The same vectors and exactly the same usage, whatever the texts are, and whatever the model adds."""
    weights: dict[str, Any] = {}
    if is_bert:
        write_reranker(tmp_path / "bert.gguf")
        weights = {"model_source": str(tmp_path / "bert.gguf"), "max_model_len": 64, "pooling": "mean"}
    fields: dict[str, Any] = {"max_model_len": 256, **weights}
    runtime = await start_engine(
        LlamaCppSettings(engine="llama_cpp", model="m", task="embed", max_num_seqs=4, num_threads=1, **fields)
    )
    sink = Sink()
    state = router_before(runtime, sink)
    alone = [await embed(state, value) for value in AWKWARD]
    merged = await asyncio.gather(*(embed(state, value) for value in AWKWARD))
    assert [1, 3, 1, 2, 1, 8] == sink.sizes
    assert [one.num_tokens for one in alone] == [one.num_tokens for one in merged]
    for one, other in zip(alone, merged, strict=True):
        for vector, other_vector in zip(one.vectors, other.vectors, strict=True):
            assert pytest.approx(vector, abs=0.01) == other_vector  # llama.cpp rounds otherwise in company
    await state.close()


async def test_a_text_over_the_context_fails_alone(start_engine: StartEngine) -> None:
    """The others in the same call get their vectors."""
    runtime = await start_engine(
        LlamaCppSettings(engine="llama_cpp", model="m", task="embed", max_num_seqs=2, max_model_len=64, num_threads=1)
    )
    state = router_before(runtime, Sink())
    long = "a b c d " * 30
    good, bad = await asyncio.gather(embed(state, "cats purr"), embed(state, long), return_exceptions=True)
    assert isinstance(good, Taken)
    assert 1 == len(good.vectors)
    assert isinstance(bad, ContextLengthExceeded)
    await state.close()
