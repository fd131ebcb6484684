"""What Cline, Roo Code and Kilo Code have in common: a chat with tools, through one of two libraries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from deployments.editors.bodies import Body, fitted
from deployments.editors.client import Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.rules.chat import STREAM, usage_at_the_end
from deployments.editors.step import Skip, Step

SDK_MEANINGS = {
    429: "it tries again twice, after 2 and 4 seconds",
    503: "it tries again twice, after 2 and 4 seconds",
}


@dataclass(slots=True, frozen=True)
class Habits:
    """How one of them begins a task: with `tools`, in `num_bytes`. `fields` are beside those that all of them send."""

    headers: Mapping[str, str]
    num_bytes: int
    tools: Sequence[Body]
    fields: Body = field(default_factory=dict)


def first_chats(setup: Setup, habits: Habits) -> list[Step | Skip]:
    """A short one, and the first of a task, with the model that agents should have."""
    model = setup.picks.agent
    if model is None:
        return [Skip("chat", "no model generates text")]
    return [_short_chat(setup, model, habits), _agent_chat(setup, model, habits)]


def _short_chat(setup: Setup, model: OfferedModel, habits: Habits) -> Step:
    """A task without tools, to see a stream to its end."""
    body = {**_asked(model), "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 48}
    return _step(setup, model, "chat", body, habits)


def _agent_chat(setup: Setup, model: OfferedModel, habits: Habits) -> Step:
    """The first request of a task, as large as it is."""
    tools = list(habits.tools)
    asked = {**_asked(model), **habits.fields, "tool_choice": "auto", "tools": tools}
    turn = {"role": "user", "content": [{"type": "text", "text": "<task>Say hello.</task>"}]}
    body = fitted(lambda text: {**asked, "messages": [{"role": "system", "content": text}, turn]}, habits.num_bytes)
    title = f"agent, {habits.num_bytes // 1000} KB with {len(tools)} tools"
    step = _step(setup, model, title, body, habits)
    return replace(step, max_model_len=model.max_model_len, num_tokens=habits.num_bytes // 4, max_events=40)


def _asked(model: OfferedModel) -> Body:
    return {"model": model.name, "stream": True, "stream_options": {"include_usage": True}}


def _step(setup: Setup, model: OfferedModel, title: str, body: Body, habits: Habits) -> Step:
    headers = {"content-type": "application/json", **habits.headers, "Authorization": f"Bearer {setup.key_text}"}
    rules = [*STREAM, usage_at_the_end]
    return Step(title, "/v1/chat/completions", rules, headers=headers, body=body, model=model.name)
