"""
Engines below Ray: what starts, watches and stops an OpenAI server that is a child process.

Nothing here imports Ray. The engines' modules are imported when one is asked for: the simulated engine's own process
imports this package and needs neither pydantic nor aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from configs.engine import EngineSettings
    from deployments.engines.contract import Engine

__all__ = ["create_engine"]


def create_engine(settings: EngineSettings) -> Engine:
    """
    The engine that these settings describe, not started.

    Raises:
        TypeError: settings of a kind that no engine here takes.
    """
    from configs import engine as settings_of  # noqa: PLC0415  see the module's docstring

    match settings:
        case settings_of.LlamaCppSettings():
            from deployments.engines.llama_cpp.engine import LlamaCppEngine  # noqa: PLC0415

            return LlamaCppEngine(settings)
        case settings_of.SimulatedSettings():
            from deployments.engines.simulated.engine import SimulatedEngine  # noqa: PLC0415

            return SimulatedEngine(settings)
        case settings_of.VllmSettings():
            from deployments.engines.vllm.engine import VllmEngine  # noqa: PLC0415

            return VllmEngine(settings)
        case settings_of.TensorRtLlmSettings():
            from deployments.engines.tensorrt_llm.engine import TensorRtLlmEngine  # noqa: PLC0415

            return TensorRtLlmEngine(settings)
        case settings_of.EndpointSettings():
            from deployments.engines.openai_endpoint import OpenAiEndpointEngine  # noqa: PLC0415

            return OpenAiEndpointEngine(settings)
        case settings_of.OllamaSettings():
            from deployments.engines.ollama.engine import OllamaEngine  # noqa: PLC0415

            return OllamaEngine(settings)
    raise TypeError(f"no engine takes {type(settings).__name__}")
