"""What Ollama's clients are told of the models here."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence

from router.call import Account
from router.http.asgi import Headers
from router.http.bodies import parse_object
from router.models.capabilities import capabilities_of
from router.models.cards import auto_capabilities
from router.models.table import Model
from router.replicas.registry import Replica
from router.replicas.statement import NOTHING_SAID, Statement
from router.state import RouterState
from router.wire_apis.ollama.names import asked_model, known_name, models_of
from router.wire_apis.pieces import Json

API_VERSION = "0.12.6"
"""The version of Ollama whose API this is. Clients refuse those before 0.6.4."""

_CAPABILITIES = {
    "completion": "completion", "embeddings": "embedding", "tools": "tools", "vision": "vision", "fim": "insert",
    "reasoning": "thinking",
}  # fmt: skip
"""Ours, and Ollama's word for each that it has one for."""
_NEVER = "2318-01-01T00:00:00Z"
"""When a model is unloaded: Ollama's own answer for one that it keeps, rounded."""
_STARTED = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
_UNKNOWN = "unknown"


async def version(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:  # noqa: ARG001 - a Reply
    return {"version": API_VERSION}, []


async def tags(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:  # noqa: ARG001 - a Reply
    """Every name that this API can be asked for; nothing is asked of an engine, so it may be polled."""
    return {"models": [_entry(name, _known(state, models)) for name, models in _names(state)]}, []


async def running(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:  # noqa: ARG001 - a Reply
    """Those names whose model has a ready replica."""
    ready = [(name, _ready(state, models)) for name, models in _names(state)]
    return {"models": [_running(name, replicas) for name, replicas in ready if replicas]}, []


async def show(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:
    """
    Raises:
        InvalidRequest: the request names no model.
        ModelNotFound: there is none of that name.
    """
    asked = asked_model(parse_object(raw))
    models = models_of(asked, state.table)
    account.labels["model"] = models[0].name
    name, known = known_name(asked, state.table), _known(state, models)
    said, capabilities = _statement(known), _capabilities(state, name, models)
    architecture = said.architecture or _UNKNOWN
    context = _context(known)
    info: Json = {"general.architecture": architecture, "general.basename": name}
    if said.num_parameters is not None:
        info["general.parameter_count"] = said.num_parameters
    if context is not None:
        info[f"{architecture}.context_length"] = context
    return {
        "modelfile": f"# {name} is set up in the configuration of the cluster.\nFROM {models[0].name}\n",
        "parameters": "" if context is None else f"num_ctx {context}",
        "template": _template(capabilities),
        "details": _details(said),
        "model_info": info,
        "capabilities": capabilities,
        "modified_at": _STARTED,
    }, []


def capabilities_in_ollamas_words(capabilities: Sequence[str]) -> list[str]:
    return [word for ours, word in _CAPABILITIES.items() if ours in capabilities]


def _names(state: RouterState) -> Iterator[tuple[str, tuple[Model, ...]]]:
    """Without models that rerank, transcribe or speak, which this API has no request for."""
    table = state.table
    for model in table.models:
        if all(replica.task in ("generate", "embed") for replica in _known(state, (model,))):
            yield from ((name, (model,)) for name in (model.name, *model.aliases))
    yield from ((auto.name, table.models_of(auto)) for auto in table.autos)


def _known(state: RouterState, models: Sequence[Model]) -> tuple[Replica, ...]:
    return state.directory.last_of(*dict.fromkeys(name for model in models for name in model.applications))


def _ready(state: RouterState, models: Sequence[Model]) -> tuple[Replica, ...]:
    return state.directory.of(*dict.fromkeys(name for model in models for name in model.applications))


def _capabilities(state: RouterState, name: str, models: Sequence[Model]) -> list[str]:
    """A model that never had a replica writes text: nobody knows more of it."""
    auto = state.table.find_auto(name)
    if auto is not None:
        can = auto_capabilities(state, auto, models)
    else:
        can = capabilities_of(models[0], _known(state, models))
    return capabilities_in_ollamas_words(can) or ["completion"]


def _statement(replicas: Sequence[Replica]) -> Statement:
    return replicas[0].statement if replicas else NOTHING_SAID


def _context(replicas: Sequence[Replica]) -> int | None:
    return min((replica.max_model_len for replica in replicas if replica.max_model_len), default=None)


def _entry(name: str, replicas: Sequence[Replica]) -> Json:
    said = _statement(replicas)
    whose = f"{name} {replicas[0].fingerprint if replicas else ''}"
    return {
        "name": name,
        "model": name,
        "modified_at": _STARTED,
        "size": said.size_bytes or 0,
        "digest": hashlib.sha256(whose.encode()).hexdigest(),
        "details": _details(said),
    }


def _running(name: str, replicas: Sequence[Replica]) -> Json:
    entry = _entry(name, replicas)
    del entry["modified_at"]
    context = _context(replicas)
    return {**entry, "expires_at": _NEVER, "size_vram": 0, **({} if context is None else {"context_length": context})}


def _details(said: Statement) -> Json:
    family = said.architecture or _UNKNOWN
    return {
        "parent_model": "",
        "format": said.file_format or _UNKNOWN,
        "family": family,
        "families": [family],
        "parameter_size": _size_text(said.num_parameters),
        "quantization_level": said.quantization or _UNKNOWN,
    }


def _size_text(num_parameters: int | None) -> str:
    """As Ollama writes it: `134.5M`, `7.6B`."""
    if num_parameters is None:
        return _UNKNOWN
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if num_parameters >= size:
            return f"{num_parameters / size:.1f}{unit}"
    return str(num_parameters)


def _template(capabilities: Sequence[str]) -> str:
    """
    A stand-in in Ollama's template language, for clients that look for these names in it. The real one is the
    engine's, and not always there to be read.
    """
    fields = [".System"] + ([".Tools"] if "tools" in capabilities else []) + [".Prompt"]
    fields += [".Suffix"] if "insert" in capabilities else []
    return "".join(f"{{{{ {field} }}}}" for field in fields)
