"""The messages of a chat as a model's template takes them. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from configs.roles import RoleRefusal
from router.call import Call
from router.fitting.known_roles import ANSWERING_ROLES, said_by_user
from router.http.bodies import encode_object
from router.models.table import Model
from router.replicas.registry import Replica

Message: TypeAlias = dict[str, Any]

_SYSTEM = ("system",)


def refusals_of(model: Model, replica: Replica) -> Collection[RoleRefusal]:
    """What the settings say, else what the engine was found to refuse."""
    return replica.role_refusals if model.roles.refuses is None else model.roles.refuses


def fit_roles(call: Call, model: Model, replica: Replica) -> Call:
    """The call as the replica's template takes it: the same one where there is nothing to change."""
    refusals = refusals_of(model, replica)
    messages = call.body.get("messages")
    if not refusals or not call.route.is_chat or not isinstance(messages, list):
        return call
    adapted = adapt(messages, refusals)
    if adapted == messages:
        return call
    body = {**call.body, "messages": adapted}
    return replace(call, body=body, raw=encode_object(body))


def adapt(messages: Sequence[Message], refusals: Collection[RoleRefusal]) -> list[Message]:
    """
    Args:
        messages: well-formed ones.
        refusals: what is not to be left in them.
    """
    adapted = list(messages)
    if "developer" in refusals:
        adapted = [{**one, "role": "system"} if one["role"] == "developer" else one for one in adapted]
    if "system" in refusals:
        adapted = list(said_by_user(adapted, _SYSTEM))
    elif "late_system" in refusals:  # the second of two at the beginning is late to such a template, too
        num_first = next((place for place, one in enumerate(adapted) if one["role"] != "system"), len(adapted))
        adapted = [*_merged(adapted[:num_first]), *said_by_user(adapted[num_first:], _SYSTEM)]
    return list(_merged(adapted)) if "neighbours" in refusals else adapted


def _text(text: str) -> Message:
    return {"type": "text", "text": text}


def _merged(messages: Iterable[Message]) -> Iterable[Message]:
    last: Message | None = None
    for message in messages:
        if last is not None and last["role"] == message["role"] and message["role"] not in ANSWERING_ROLES:
            last = _joined(last, message)
            continue
        if last is not None:
            yield last
        last = message
    if last is not None:
        yield last


def _joined(first: Message, second: Message) -> Message:
    """Both in one. Fields that only one has are kept; of those that both have, it is the second's that counts."""
    joined = {**first, **second}
    for name in ("content", "reasoning_content"):
        if name in first or name in second:
            joined[name] = _both(first.get(name), second.get(name))
    calls = [*_calls(first), *_calls(second)]
    if calls:
        joined["tool_calls"] = calls
    if first.get("name") != second.get("name"):
        joined.pop("name", None)
    return joined


def _calls(message: Mapping[str, Any]) -> list[Any]:
    calls = message.get("tool_calls")
    return calls if isinstance(calls, list) else []


def _both(first: Any, second: Any) -> Any:  # noqa: ANN401 - JSON
    """Texts are joined by a line's end, as engines join the texts of several parts."""
    if not first or not second:
        return first or second
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n{second}"
    if not isinstance(first, str | list) or not isinstance(second, str | list):
        return second  # of a field that is the engine's to judge
    return [*_parts(first), *_parts(second)]


def _parts(content: Any) -> list[Any]:  # noqa: ANN401 - JSON
    return [_text(content)] if isinstance(content, str) else list(content)
