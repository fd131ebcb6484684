"""Asking an engine how long a prompt is, in the rare case where that decides whether `max_tokens` fits."""

import aiohttp
import orjson

from router.call import Call
from router.fitting.profiles import PROFILES
from router.fitting.token_limits import Clamp, decide_clamp, prompt_too_long, with_limit, without_limit
from router.http.bodies import encode_object
from router.replicas.questions import ask_replica
from router.replicas.registry import Replica
from router.state import RouterState

_CHAT_FIELDS = ("messages", "tools", "chat_template_kwargs")


async def fit_limit(
    call: Call, body: bytes, name: str, replica: Replica, state: RouterState, max_prompt_tokens: int | None = None
) -> bytes:
    """
    `body`, with `max_tokens` lowered to what the prompt leaves of the engine's context.

    Args:
        call: the request.
        body: as it would go to the engine.
        name: what the engine calls the model.
        replica: who is asked.
        state: for the question to the engine.
        max_prompt_tokens: what the model takes here, where somebody has set that.

    Raises:
        ContextLengthExceeded: the prompt leaves nothing of it, or was counted and is longer than the model takes here.
    """
    profile = PROFILES[replica.profile]
    max_model_len = replica.max_model_len
    if max_model_len is None or profile.clamps_max_tokens or call.route.task != "generate":
        return body
    clamp = decide_clamp(call.body, len(call.raw), max_model_len, engine_fills_context=call.route.is_chat)
    if clamp is Clamp.NOTHING:
        return body
    document = orjson.loads(body)
    if clamp is Clamp.DROP:
        return encode_object(without_limit(document))
    if profile.counts_tokens is None:
        return body
    num_prompt_tokens = await _count(call, name, replica, profile.counts_tokens, state.session)
    if num_prompt_tokens is None:
        return body
    if max_prompt_tokens is not None and num_prompt_tokens > max_prompt_tokens:
        raise prompt_too_long(str(num_prompt_tokens), max_prompt_tokens, call.route.prompt_field)
    return encode_object(with_limit(document, num_prompt_tokens, max_model_len))


async def _count(call: Call, name: str, replica: Replica, route: str, session: aiohttp.ClientSession) -> int | None:
    """The prompt's tokens, or None when the engine does not say: then it judges the request itself."""
    question: dict[str, object] = {"model": name}
    if call.route.is_chat:
        question |= {name: call.body[name] for name in _CHAT_FIELDS if name in call.body}
    else:
        prompt = call.body["prompt"]
        if not isinstance(prompt, str):
            return _count_listed(prompt)
        question["prompt"] = prompt
    count = (await ask_replica(replica, route, question, session, "count a prompt's tokens")).get("count")
    return count if isinstance(count, int) else None


def _count_listed(prompt: object) -> int | None:
    """Tokens of the longest of several prompts, or of one, given as tokens; None for several texts."""
    if not isinstance(prompt, list):
        return None
    if all(isinstance(part, int) for part in prompt):
        return len(prompt)
    lengths = [len(part) for part in prompt if isinstance(part, list)]
    return max(lengths) if len(lengths) == len(prompt) else None
