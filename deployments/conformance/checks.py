"""The list of checks, and how one is asked."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import aiohttp

from deployments.conformance import feature_checks, text_checks
from deployments.conformance.subject import Deviation, Subject

Question: TypeAlias = Callable[[Subject], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the API. `needs` names what an engine must offer for it to be asked."""

    question: Question
    needs: str | None = None

    @property
    def name(self) -> str:
        return self.question.__name__

    @property
    def promise(self) -> str:
        return " ".join((self.question.__doc__ or "").split())


CHECKS: tuple[Check, ...] = (
    Check(text_checks.chat),
    Check(text_checks.chat_stream),
    Check(text_checks.chat_stream_usage),
    Check(text_checks.stream_equals_whole),
    Check(text_checks.completion),
    Check(text_checks.completion_stream),
    Check(text_checks.completion_defaults_to_16_tokens),
    Check(text_checks.several_prompts, needs="prompts"),
    Check(text_checks.max_tokens),
    Check(text_checks.stop),
    Check(text_checks.unknown_fields),
    Check(text_checks.bad_field),
    Check(text_checks.bad_json),
    Check(text_checks.too_long),
    Check(text_checks.unknown_path),
    Check(feature_checks.several_choices, needs="n"),
    Check(feature_checks.seed, needs="seed"),
    Check(feature_checks.logprobs, needs="logprobs"),
    Check(feature_checks.schema, needs="schema"),
    Check(feature_checks.forced_tool, needs="tools"),
    Check(feature_checks.forced_tool_stream, needs="tools"),
    Check(feature_checks.named_tool, needs="tools"),
    Check(feature_checks.offered_tool, needs="tools"),
)

OFFERS = frozenset(check.needs for check in CHECKS if check.needs is not None)
"""What an engine may be able to do beyond plain text; `prompts` is a list of them in one request."""


async def ask(check: Check, subject: Subject) -> Deviation | None:
    """What is wrong, or None. An answer of a form that the check did not expect is a deviation as well."""
    try:
        await check.question(subject)
    except Deviation as deviation:
        return deviation
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return Deviation("an answer", repr(error))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        return Deviation("an answer in OpenAI's form", repr(error))
    return None
