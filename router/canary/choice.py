"""A request's model with the backend of its session put first, so that all behind it need not know of any choice."""

import random
from dataclasses import replace

from configs.backends import TENANT_ID_CHARS
from router.call import Call
from router.canary.backends import Backend, digest_of, rank
from router.models.table import Model
from router.replicas.prefix_key import conversation_key


def choose_backend(model: Model, call: Call, tenant: str) -> Model:
    """
    `model` as this request's session has it.

    Args:
        model: as in the table.
        call: the request. What makes a session of it is what the client's headers name, else the beginning of the
            conversation, else the tenant; a request that has none of them is a session of its own.
        tenant: the digest of the API key; empty where there are no keys.
    """
    if len(model.backends) < 2:
        return model
    key = session_key(call, tenant)
    if key is None:
        key = random.getrandbits(64)
    return _with(model, rank(model.backends, key, tenant[:TENANT_ID_CHARS]))


def without_trials(model: Model) -> Model:
    """
    `model` for work that nobody waits for: it has the backend of the greatest weight that is no canary, whose part is
    so much of the sessions and not all lines of a batch; and nothing is copied.
    """
    backends = model.backends
    if backends:
        tried = None if model.trial is None else model.trial.label
        own = next((one for one in backends if one.label != tried), backends[0])
        model = _with(model, (own, *(one for one in backends if one is not own and one.stands_by)))
    return replace(model, shadow=None)


def _with(model: Model, backends: tuple[Backend, ...]) -> Model:
    applications = tuple(dict.fromkeys([*(one.application for one in backends), *model.fallbacks]))
    return replace(model, applications=applications, adapter=backends[0].adapter, backends=backends)


def session_key(call: Call, tenant: str) -> int | None:
    """64 bits that stand for the request's session; None where it has none. Arguments as above."""
    if call.session:
        return digest_of(b"session:" + call.session)
    key = conversation_key(call)
    if key is not None:
        return key
    return digest_of(b"tenant:" + tenant.encode()) if tenant else None
