"""Clients as OpenAI's SDK is one, who ask without pause and enter in the ledger what becomes of each request."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp
from ledger import Ending, Entry, Form, Ledger
from waiting import eventually

from deployments.engines.simulated import requests as simulated_requests
from deployments.engines.simulated import tokens as simulated_tokens

PATIENCE_S = 90.0
"""How long a client waits for the next byte. None shall ever wait so long."""
THINK_S = 0.05
BACK_OFF_S = 0.5
"""A client's pause after a failure, in seconds: nobody shall be hammered."""
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
NO_END = {"0": -100, "2": -100}
"""The two tokens with which the small model would end an answer early are ruled out."""
_AS_STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
_TAGS = [high + low for high in _ALPHABET for low in _ALPHABET]


@dataclass(frozen=True, slots=True)
class Asking:
    """
    Who is asked, and how long the answers are.

    `num_clients` says how many ask for each form at the same time.
    """

    base_url: str
    key: str
    model: str
    num_clients: dict[Form, int]
    num_tokens: int = 30
    token_ms: float = 100.0
    """Between two tokens of a simulated engine; others take the time that they need."""


class Clients:
    """A load that is on from `start` to `finish`. It belongs to one event loop."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.ledger = Ledger()
        self._is_over = False
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_read=PATIENCE_S, sock_connect=PATIENCE_S),
            headers={"authorization": f"Bearer {asking.key}"},
        )

    async def start(self) -> None:
        """
        Returns when nearly every stream is under way.

        They begin over the length of one answer, so that a fault meets answers of every age.
        """
        forms = [form for form, number in self.asking.num_clients.items() for _ in range(number)]
        pause_s = self.asking.num_tokens * self.asking.token_ms / 1000 / len(forms)
        for form in forms:
            self._tasks.append(asyncio.create_task(self._ask_for_ever(form)))
            await asyncio.sleep(pause_s)
        num_streams = sum(form is not Form.WHOLE for form in forms)
        await eventually("streams are under way", lambda: self.ledger.num_under_way() >= num_streams * 0.8)

    async def finish(self) -> None:
        """Each client finishes the answer that it waits for. Raises what a client raised."""
        self._is_over = True
        try:
            await asyncio.gather(*self._tasks)
        finally:
            await self._session.close()

    async def _ask_for_ever(self, form: Form) -> None:
        while not self._is_over:
            entry = await self.ask(form)
            await asyncio.sleep(THINK_S if entry.ending is Ending.COMPLETE else BACK_OFF_S)

    async def ask(self, form: Form) -> Entry:
        """One request, from its entry to its end."""
        body, owed = self._request(form, next(self._numbers))
        entry = self.ledger.open(form, owed, self.asking.num_tokens, monotonic())
        try:
            async with (
                asyncio.timeout(PATIENCE_S * 2),
                self._session.post(f"{self.asking.base_url}/chat/completions", json=body) as answer,
            ):
                if answer.status != 200:
                    entry.close(Ending.ERROR_STATUS, monotonic(), f"{answer.status} {await answer.text()}")
                elif form is Form.WHOLE:
                    _read_whole(entry, await answer.json())
                else:
                    await read_stream(entry, answer.content)
        except TimeoutError:  # aiohttp's own are of this kind, too
            entry.close(Ending.HUNG, monotonic(), f"after {len(entry.text)} characters")
        except ValueError as error:  # half an event, and then the ordinary end of an answer
            entry.close(Ending.SILENT, monotonic(), repr(error))
        except (aiohttp.ClientError, ConnectionError) as error:
            # What is not streamed comes at once or not at all, so that nothing of it was there.
            has_begun = entry.began_at is not None or isinstance(error, aiohttp.ClientPayloadError)
            entry.close(Ending.CUT if has_begun else Ending.REFUSED, monotonic(), repr(error))
            entry.check_beginning()
        return entry

    def _request(self, form: Form, number: int) -> tuple[dict[str, Any], str | None]:
        """A request like no other, and the text that is owed for it, where that is known."""
        num_tokens = self.asking.num_tokens
        messages = [{"role": "user", "content": f"Question {number} of {form}."}]
        if self.asking.model != "simulated":
            body = {"model": self.asking.model, "messages": messages, "max_tokens": num_tokens, "temperature": 0}
            body["logit_bias"] = NO_END
            return body | (_AS_STREAM if form is not Form.WHOLE else {}), None
        pace: dict[str, object] = {"inter_token_ms": self.asking.token_ms, "prefill_base_ms": self.asking.token_ms}
        body = {"model": self.asking.model, "messages": messages, "max_tokens": num_tokens, "simulated": pace}
        if form is Form.SAMPLED:
            pace["numbered"] = tag = _TAGS[number % len(_TAGS)]
            return body | _AS_STREAM, simulated_tokens.numbered_answer(tag, "", num_tokens)
        owed = simulated_tokens.answer(simulated_requests.chat_prompt({"messages": messages}), 0, 0, num_tokens)
        return body | {"temperature": 0} | (_AS_STREAM if form is Form.GREEDY else {}), owed


def _read_whole(entry: Entry, document: dict[str, Any]) -> None:
    choice = document["choices"][0]
    entry.add(choice["message"]["content"], monotonic())
    entry.close_answer(monotonic(), document["usage"]["completion_tokens"], choice["finish_reason"])


async def read_stream(entry: Entry, content: AsyncIterable[bytes]) -> None:
    """Enter a streamed answer, whose lines these are."""
    num_tokens, finish_reason = 0, None
    async for line in content:
        if not line.startswith(b"data: "):
            continue
        if line.startswith(b"data: [DONE]"):
            entry.close_answer(monotonic(), num_tokens, finish_reason)
            continue
        event = json.loads(line[6:])
        if "error" in event:
            entry.close(Ending.ERROR_EVENT, monotonic(), event["error"]["message"])
            entry.check_beginning()
            return
        if event.get("usage"):
            num_tokens = event["usage"]["completion_tokens"]
        if not event["choices"]:
            continue
        choice = event["choices"][0]
        entry.add(choice["delta"].get("content") or "", monotonic())
        finish_reason = choice["finish_reason"] or finish_reason
    if entry.ending is None:
        entry.close(Ending.SILENT, monotonic(), f"no [DONE] after {len(entry.text)} characters")
