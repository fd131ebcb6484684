"""What Cline, Roo Code and Kilo Code have in common: a chat with tools, through one of two libraries."""

from deployments.editors.bodies import Body, fitted
from deployments.editors.client import Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.rules.chat import STREAM, usage_at_the_end
from deployments.editors.step import Step

SDK_MEANINGS = {
    429: "it tries again twice, after 2 and 4 seconds",
    503: "it tries again twice, after 2 and 4 seconds",
}


def short_chat(setup: Setup, model: OfferedModel, user_agent: str) -> Step:
    """A task without tools, to see a stream to its end."""
    body = {**_asked(model), "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 48}
    return _step(setup, model, "chat", body, user_agent)


def agent_chat(setup: Setup, model: OfferedModel, user_agent: str, num_bytes: int, tools: list[Body]) -> Step:
    """The first request of a task, as large as it is."""
    asked = {**_asked(model), "tool_choice": "auto", "parallel_tool_calls": True, "tools": tools}
    turn = {"role": "user", "content": [{"type": "text", "text": "<task>Say hello.</task>"}]}
    body = fitted(lambda text: {**asked, "messages": [{"role": "system", "content": text}, turn]}, num_bytes)
    title = f"agent, {num_bytes // 1000} KB with {len(tools)} tools"
    step = _step(setup, model, title, body, user_agent)
    return Step(
        step.title, step.path, step.rules, headers=step.headers, body=step.body, model=model.name,
        max_model_len=model.max_model_len, num_tokens=num_bytes // 4, max_events=40,
    )  # fmt: skip


def _asked(model: OfferedModel) -> Body:
    return {"model": model.name, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}


def _step(setup: Setup, model: OfferedModel, title: str, body: Body, user_agent: str) -> Step:
    headers = {
        "content-type": "application/json",
        "user-agent": user_agent,
        "Authorization": f"Bearer {setup.key_text}",
    }
    rules = [*STREAM, usage_at_the_end]
    return Step(title, "/v1/chat/completions", rules, headers=headers, body=body, model=model.name)
