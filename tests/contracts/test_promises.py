"""What `enginehouse doctor --engine` asks, asked of every engine that runs here."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from contract_engines import ContractEngine

from deployments.conformance.checks import CHECKS, Check, ask
from deployments.conformance.engine_checks import ENGINE_CHECKS, EngineQuestion
from deployments.conformance.examination import session_of
from deployments.conformance.subject import Subject
from deployments.engines.runtime import EngineRuntime

# One loop for all: an engine that is shared between tests belongs to the loop that started it.
pytestmark = pytest.mark.asyncio(loop_scope="session")

WORDLESS = "a simulated engine has no words of its own"
NO_TOOLS = "SmolLM2's template does not know tools"
STANDIN = "so the stand-in, after what is documented of Ollama"

KNOWN: dict[tuple[str, str], str] = {
    **{
        (engine, check): WORDLESS
        for engine in ("simulated", "openai")
        for check in ("logprobs", "schema", "forced_tool", "forced_tool_stream", "named_tool")
    },
    **{("llama_cpp", check): NO_TOOLS for check in ("forced_tool", "forced_tool_stream", "named_tool")},
    ("llama_cpp", "completion_stream"): "usage comes along with the last text; the router takes it apart",
    ("llama_cpp", "completion_defaults_to_16_tokens"): "it goes on to the end of the context",
    ("llama_cpp", "several_prompts"): "it answers null",
    ("ollama", "completion_defaults_to_16_tokens"): STANDIN,
    ("ollama", "several_prompts"): "refused by name: Ollama takes one",
    ("ollama", "several_choices"): "refused by name: Ollama gives one",
    ("ollama", "bad_field"): STANDIN,
    ("ollama", "too_long"): "it cuts them without a word",
    ("ollama", "logprobs"): STANDIN,
    ("ollama", "named_tool"): STANDIN,
}
"""What an engine does not keep, and why. A promise in here that is kept after all fails its test."""


@pytest_asyncio.fixture(loop_scope="session")
async def subject(runtime: EngineRuntime) -> AsyncIterator[Subject]:
    async with session_of(runtime) as session:
        yield Subject(session, "m")


@pytest.mark.parametrize("question", ENGINE_CHECKS, ids=lambda question: question.__name__)
async def test_an_engine_keeps_to_its_place(runtime: EngineRuntime, subject: Subject, question: EngineQuestion) -> None:
    """Strangers, control routes, counts and clients that leave are as the router takes them to be."""
    await question(runtime, subject)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_a_promise_is_kept(kind: ContractEngine, subject: Subject, check: Check) -> None:
    """Each engine answers as OpenAI's API promises, but for what is known."""
    deviation = await ask(check, subject)

    assert ((kind.name, check.name) in KNOWN) == (deviation is not None), deviation
