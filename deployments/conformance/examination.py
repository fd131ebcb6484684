"""All the questions to one engine, one after another."""

from collections.abc import AsyncIterator

import aiohttp

from deployments.conformance.checks import CHECKS, ask
from deployments.conformance.engine_checks import ENGINE_CHECKS, EngineQuestion
from deployments.conformance.subject import Deviation, Subject
from deployments.diagnosis import Diagnosis, State
from deployments.engines.errors import EngineError
from deployments.engines.runtime import EngineRuntime

QUESTION_TIMEOUT_S = 300.0
"""Longest wait for one answer. A large model may take minutes for its first grammar."""


async def examine(runtime: EngineRuntime, model: str, offers: frozenset[str]) -> AsyncIterator[Diagnosis]:
    """One diagnosis for each check, as soon as it is known. `runtime` has been started, and stays so."""
    async with session_of(runtime) as session:
        subject = Subject(session, model)
        for question in ENGINE_CHECKS:
            yield await _ask_engine(question, runtime, subject)
        for check in CHECKS:
            if check.needs is not None and check.needs not in offers:
                yield Diagnosis(check.name, State.WARN, f"not asked: without {check.needs}")
                continue
            deviation = await ask(check, subject)
            if deviation is None:
                yield Diagnosis(check.name, State.OK, check.promise)
            else:
                yield Diagnosis(check.name, State.FAIL, str(deviation), check.promise)


def session_of(runtime: EngineRuntime) -> aiohttp.ClientSession:
    """
    A session with the engine's address and secret. Connections are not kept: whether a server may close an idle one is
    no question of ours.
    """
    address = runtime.address
    return aiohttp.ClientSession(
        f"http://{address.host}:{address.port}",
        headers={"Authorization": f"Bearer {address.secret}"},
        timeout=aiohttp.ClientTimeout(total=QUESTION_TIMEOUT_S),
        connector=aiohttp.TCPConnector(force_close=True),
    )


async def _ask_engine(question: EngineQuestion, runtime: EngineRuntime, subject: Subject) -> Diagnosis:
    promise = " ".join((question.__doc__ or "").split())
    try:
        await question(runtime, subject)
    except Deviation as deviation:
        return Diagnosis(question.__name__, State.FAIL, str(deviation), promise)
    except (EngineError, aiohttp.ClientError, OSError, KeyError) as error:
        return Diagnosis(question.__name__, State.FAIL, repr(error), promise)
    return Diagnosis(question.__name__, State.OK, promise)
