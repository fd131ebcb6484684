"""One running engine: its port and secret, its child process, its health, load and end."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

import aiohttp
from yarl import URL

from configs.engine import EngineSettings
from deployments.engines.contract import Engine, EngineAddress, FirstRequest, SleepMode
from deployments.engines.errors import EngineDied, EngineStartError, EngineUnresponsive
from deployments.engines.exit_causes import find_cause
from deployments.engines.front.dialect import Dialect
from deployments.engines.front.server import Front
from deployments.engines.interview import Interview
from deployments.engines.load import EngineLoad
from deployments.engines.model_facts import ModelFacts, read_facts
from deployments.engines.ports import free_port, is_port_taken
from deployments.engines.prometheus_text import MetricNotFound
from deployments.engines.statements import ask_engine
from deployments.engines.supervised_child import ExitReport, OnLine, SupervisedChild
from router.replicas.statement import NOTHING_SAID, Statement

Phase: TypeAlias = str
"""`starting`, `loading`, `warming` or `ready`, or between the last two what an engine does that takes long, in a few
words."""
PHASES = ("starting", "loading", "warming", "ready")
OnPhase: TypeAlias = Callable[[Phase], None]

LOOPBACK = "127.0.0.1"
"""Where an engine behind a front listens: it asks nobody for a key."""

NUM_PORT_ATTEMPTS = 5
"""Between picking a free port and the engine's binding it, another process may take it."""

HEALTH_POLL_S = 0.05
QUESTION_TIMEOUT_S = 3.0
"""Longest wait for `/health` and `/metrics`, in seconds; a busy engine answers them in milliseconds."""

NUM_HEALTH_FAILURES = 3
"""Unanswered `/health` questions in a row after which a living process counts as dead."""

DRAIN_POLL_S = 0.1
DRAIN_SETTLE_S = 1.0

_Result = TypeVar("_Result")


class _PortTakenError(Exception):
    """Another process has the port that was picked."""


class _DiedDuringStartError(Exception):
    def __init__(self, report: ExitReport) -> None:
        super().__init__(str(report))


class EngineRuntime:
    """
    Starts an engine, with a front before it where it needs one, watches it and stops it. Start it once; `async with`
    stops it at the end. Of a server that somebody else runs, only the front is started and stopped.

    `on_phase` is called on every change of phase; a start that found its port taken goes back to `starting`.
    `on_line` gets every line of the child's output, as `SupervisedChild` says.
    """

    def __init__(self, engine: Engine, settings: EngineSettings, host: str, on_line: OnLine, on_phase: OnPhase) -> None:
        self._engine = engine
        self._settings = settings
        self._host = host
        self._on_line = on_line
        self._on_phase = on_phase
        self._phase = "starting"
        self._address: EngineAddress | None = None
        self._server: EngineAddress | None = None
        self._front: Front | None = None
        self._child: SupervisedChild | None = None
        self._session: aiohttp.ClientSession | None = None
        self._num_health_failures = 0
        self._is_stopping = False
        self._found_max_model_len: int | None = None
        self.inherited: tuple[int, ...] = ()
        """Open files for the engine's process to keep; to be set before the start."""
        self.version = ""
        """The engine's own, once it is ready; empty where it does not say."""
        self.statement: Statement = NOTHING_SAID
        """What the ready engine says of its model."""
        self.facts = ModelFacts()
        """What is known of its model, once it is ready."""
        self._dialect: Dialect | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def address(self) -> EngineAddress:
        """Where the engine, or its front, listens; there is none before `start`."""
        if self._address is None:
            raise RuntimeError("the engine was not started")
        return self._address

    @property
    def max_model_len(self) -> int | None:
        """Context of one request, in tokens: from the settings, or else as the ready engine says; None if neither."""
        return self._engine.max_model_len or self._found_max_model_len

    @property
    def pid(self) -> int | None:
        """The engine's process id while there is one."""
        return None if self._child is None else self._child.pid

    @property
    def sleep_mode(self) -> SleepMode | None:
        """How the engine is put to sleep; None: by ending it."""
        return None if self._server is None else self._engine.sleep_mode(self._server)

    async def start(self) -> None:
        """
        Returns when the engine has generated its first token. Leaves no process behind when it fails.

        Raises:
            EngineStartError: the process could not be executed, ended, or took longer than `start_timeout_s`. Tells
                its exit code or signal and its last lines.
        """
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=QUESTION_TIMEOUT_S))
        try:
            async with asyncio.timeout(self._settings.start_timeout_s):
                await self._start_on_free_port()
        except TimeoutError as error:
            reason = self._why_not_ready()
            await self.stop()
            raise EngineStartError(
                f"{self._settings.model} was not ready after {self._settings.start_timeout_s:g} s{self._work}; {reason}"
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def check(self) -> None:
        """
        Returns when the engine lives, as far as is known. Ask every few seconds.

        Raises:
            EngineDied: the process ended, or did not answer `/health` to three calls in a row.
        """
        if self._is_ended():
            raise EngineDied(await self._death())
        if await self._is_healthy():
            self._num_health_failures = 0
            return
        self._num_health_failures += 1
        if self._is_ended():
            raise EngineDied(await self._death())
        if self._num_health_failures >= NUM_HEALTH_FAILURES:
            raise EngineDied(f"{self._settings.model} did not answer {NUM_HEALTH_FAILURES} health checks in a row")

    async def died(self) -> str:
        """Waits for an exit that nobody asked for and returns what is known about it. Never returns after `stop`."""
        message = await self._death()
        if self._is_stopping:
            await asyncio.get_running_loop().create_future()
        return message

    async def load(self) -> EngineLoad:
        """
        The engine's own counts, now.

        Raises:
            EngineDied: the process ended.
            EngineUnresponsive: it runs but gave no counts within 3 s.
        """
        try:
            async with self._open_session.get(self._url("/metrics"), headers=self._authorization) as response:
                response.raise_for_status()
                return self._engine.load(await response.text())
        except (aiohttp.ClientError, TimeoutError, OSError, MetricNotFound) as error:
            if self._is_ended():
                raise EngineDied(await self._death()) from error
            raise EngineUnresponsive(f"{self._settings.model} gave no load: {error!r}") from error

    async def drain(self, timeout_s: float) -> bool:
        """
        Waits until the engine has said for a second that nothing runs or waits. Whoever calls this has already asked
        for no more requests; the second is for routers that have not heard of it, and for what is on its way.

        Returns:
            False when `timeout_s` passed first or the engine died: its requests are lost.
        """
        num_idle = 0
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        num_idle = num_idle + 1 if (await self.load()).is_idle else 0
                    except EngineUnresponsive:
                        num_idle = 0
                    if num_idle * DRAIN_POLL_S >= DRAIN_SETTLE_S:
                        return True
                    await asyncio.sleep(DRAIN_POLL_S)
        except (TimeoutError, EngineDied):
            return False

    async def stop(self, grace_s: float = 5.0) -> None:
        """SIGTERM, then SIGKILL after `grace_s` seconds. Returns when no process of the engine is left."""
        self._is_stopping = True
        if self._session is not None:
            await self._session.close()
        if self._child is not None:
            await self._child.stop(grace_s)
        if self._front is not None:
            await self._front.close()

    async def _start_on_free_port(self) -> None:
        for _ in range(NUM_PORT_ATTEMPTS):
            try:
                await self._start_once()
            except _PortTakenError:
                continue
            return
        raise EngineStartError(f"{NUM_PORT_ATTEMPTS} ports in a row were taken by others before the engine bound them")

    async def _start_once(self) -> None:
        self._enter("starting")
        self._server = server = await self._choose_addresses()
        command = self._engine.command(server)
        if command is not None:
            self._child = SupervisedChild(replace(command, inherited=self.inherited), self._on_line)
            await self._child.start()
        try:
            await self._while_alive(self._becomes_ready())
        except _DiedDuringStartError as error:
            if is_port_taken(server.host, server.port):
                raise _PortTakenError from error
            raise EngineStartError(f"{self._settings.model} did not start: it {error}") from error
        except _PortTakenError:
            if self._child is not None:
                await self._child.stop(grace_s=0)
            raise
        self._enter("ready")

    async def _choose_addresses(self) -> EngineAddress:
        """Where the engine is to listen; its front, where it needs one, listens already at `address`."""
        if self._front is not None:  # of an attempt that found its port taken
            await self._front.close()
        secret = secrets.token_urlsafe(32)
        behind_front = EngineAddress(LOOPBACK, free_port(LOOPBACK), secret)
        self._dialect = dialect = self._engine.dialect(behind_front)
        if dialect is None:
            self._address = EngineAddress(self._host, free_port(self._host), secret)
            return self._address
        self._front = Front(dialect, self._settings.model, self._host, secret)
        self._address = await self._front.start()
        return behind_front

    async def _becomes_ready(self) -> None:
        self._enter("loading")
        await self._becomes_healthy()
        if self._front is not None:
            await self._prepare(self._front)
        self._enter("warming")
        interview = Interview(self._open_session, self._settings.model, self.address, self._dialect)
        if self._engine.first_request is not None:
            await self._warm_up(self._engine.first_request, interview)
        if self._engine.max_model_len is None:
            self._found_max_model_len = await interview.max_model_len()
        self.version = await interview.version()
        self.facts = await read_facts(self._settings, self._engine.profile, interview)
        self.statement = await self._ask_statement()

    async def _prepare(self, front: Front) -> None:
        try:
            await front.prepare(self._enter)
        except (aiohttp.ClientError, OSError) as error:
            await asyncio.sleep(QUESTION_TIMEOUT_S)  # as in `_warm_up`
            reason = str(error) or repr(error)
            raise EngineStartError(f"{self._settings.model} was lost while {self._phase}: {reason}") from error

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._on_phase(phase)

    @property
    def _work(self) -> str:
        """What took so long, where that is more than a phase's name says."""
        return "" if self._phase in PHASES else f", while {self._phase}"

    def _why_not_ready(self) -> str:
        if self._child is not None:
            cause = find_cause(self._child.last_lines)
            return "\n  ".join([f"{cause}; its last lines:" if cause else "its last lines:", *self._child.last_lines])
        return (self._front.health_failure if self._front is not None else "") or "it gave no sign"

    async def _while_alive(self, step: Awaitable[_Result]) -> _Result:
        if self._child is None:
            return await step
        task = asyncio.ensure_future(step)
        exited = asyncio.create_task(self._child.wait_exit())
        try:
            await asyncio.wait([task, exited], return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                raise _DiedDuringStartError(exited.result())
            return task.result()
        finally:
            for unfinished in (task, exited):
                unfinished.cancel()
            await asyncio.gather(task, exited, return_exceptions=True)

    async def _becomes_healthy(self) -> None:
        while not await self._is_healthy():
            if self._front is not None and self._front.is_hopeless:
                raise EngineStartError(f"{self._settings.model} did not start: {self._front.health_failure}")
            await asyncio.sleep(HEALTH_POLL_S)

    async def _is_healthy(self) -> bool:
        try:
            async with self._open_session.get(self._url("/health")) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def _warm_up(self, request: FirstRequest, interview: Interview) -> None:
        data, content_type = request.content
        try:
            async with self._open_session.post(
                self._url(request.path),
                data=data,
                headers={**self._authorization, "Content-Type": content_type},
                timeout=aiohttp.ClientTimeout(total=None),  # `start` bounds the whole of it
            ) as response:
                answer = (await response.read()).decode(errors="replace")
        except (aiohttp.ClientError, OSError) as error:
            # A dying child closes its connections a moment before its death is known: let that be the reason told.
            await asyncio.sleep(QUESTION_TIMEOUT_S)
            raise EngineStartError(f"{self._settings.model} broke off its first request: {error!r}") from error
        is_strange = self._front is None and response.status in (401, 403, 404)
        if is_strange and self._settings.model not in await interview.model_names():
            # It was another's `/health`: our secret and model are unknown there.
            raise _PortTakenError
        if response.status == 404:
            raise EngineStartError(
                f"{self._settings.model} does not answer {request.path}: is task: {self._settings.task} right for it?"
            )
        if response.status != 200:
            raise EngineStartError(f"{self._settings.model} refused its first request: {response.status} {answer}")

    async def _ask_statement(self) -> Statement:
        told = None if self._front is None else self._front.statement
        if told is not None:
            return told
        questions, headers = self._engine.questions, self._authorization
        return self._engine.statement(await ask_engine(questions, self._url("/"), headers, self._open_session))

    def _is_ended(self) -> bool:
        return self._child is not None and not self._child.is_running

    async def _death(self) -> str:
        if self._child is None:  # nothing of ours can die
            await asyncio.get_running_loop().create_future()
            raise AssertionError  # never reached
        return f"{self._settings.model} {await self._child.wait_exit()}"

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the engine was not started")
        return self._session

    def _url(self, path: str) -> URL:
        return URL.build(scheme="http", host=self.address.host, port=self.address.port, path=path)

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.address.secret}"}
