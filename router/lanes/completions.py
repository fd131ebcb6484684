"""Completions in editors that are under way: ended when they are late, or when their editor asks anew."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import orjson

from configs.lanes import AutocompletePolicy
from router.call import Account, Call
from router.errors import CompletionTooLate, Superseded
from router.http.answer import Answer
from router.http.event_stream import DONE, encode_event
from router.lanes.typist import Typist

SUPERSEDED_HEADER = b"x-enginehouse-superseded"


class Admitted(Protocol):
    """A request that has its place."""

    account: Account

    def give_place_back(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Completion:
    typist: Typist
    answer: Answer
    task: "asyncio.Task[object]"
    give_place_back: Callable[[], None]
    reason: CompletionTooLate | Superseded | None = None

    def end(self, reason: CompletionTooLate | Superseded) -> None:
        if self.reason is None and not self.answer.is_complete:
            self.reason = reason
            self.give_place_back()  # not only when its task gets to it: whoever asks anew needs one now
            self.task.cancel()

    def is_late(self, deadline_s: float) -> None:
        if not self.answer.has_content:
            self.end(CompletionTooLate(f"The completion had not begun within {deadline_s:g} s."))


class Completions:
    """Of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._under_way: dict[tuple[object, ...], list[_Completion]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._under_way.values()))

    def supersede(self, typist: Typist) -> None:
        """End what the same typist no longer wants."""
        for older in tuple(self._under_way.get(typist.names, ())):
            if typist.supersedes(older.typist):
                older.end(Superseded())

    @contextmanager
    def under_way(
        self, typist: Typist, policy: AutocompletePolicy, call: Call, answer: Answer, admission: Admitted
    ) -> Iterator[None]:
        """
        One more, as long as the block runs. Cancels the running task when it is late or superseded; the answer to one
        that is superseded has been given by the end of the block.

        Raises:
            CompletionTooLate: it is.
            Superseded: by a newer one.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is served by a task
        completion = _Completion(typist, answer, task, admission.give_place_back)
        others = self._under_way.setdefault(typist.names, [])
        others.append(completion)
        timer = None
        if policy.deadline_s is not None:
            timer = self._loop.call_at(
                admission.account.arrived_at + policy.deadline_s, completion.is_late, policy.deadline_s
            )
        try:
            yield
        except asyncio.CancelledError:
            if completion.reason is None:
                raise
            task.uncancel()
            if isinstance(completion.reason, Superseded):
                answer_nothing(answer, call)
            raise completion.reason from None
        finally:
            if timer is not None:
                timer.cancel()
            others.remove(completion)
            if not others and self._under_way.get(typist.names) is others:
                del self._under_way[typist.names]


def answer_nothing(answer: Answer, call: Call) -> None:
    """
    A whole answer without a word more: editors show nothing for it, where they show an error for any other status.

    A stream that has begun ends as one that was cut for its length, which is what it is.
    """
    if answer.is_complete:
        return
    answer.forget_unsent()
    reason = "length" if answer.has_content else "stop"
    choice: dict[str, object] = {"index": 0, "text": "", "logprobs": None, "finish_reason": reason}
    document: dict[str, object] = {
        "id": "cmpl-superseded",
        "object": "text_completion",
        "created": int(time.time()),
        "model": call.model_name,
        "choices": [choice],
    }
    if answer.status is None:
        answer.add_header(SUPERSEDED_HEADER, b"true")
    if call.wants_stream:
        answer.start_stream()
        answer.write(encode_event(document) + DONE, is_last=True)
    else:
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        answer.send_whole(200, orjson.dumps({**document, "usage": usage}))
