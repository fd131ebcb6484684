"""Settings of a model's application: one engine for each of its replicas."""

from typing import Annotated

from pydantic import Field, RootModel

from configs.engines.base import EngineSettings, Task
from configs.engines.llama_cpp import LlamaCppSettings
from configs.engines.ollama import OllamaSettings
from configs.engines.openai_endpoint import EndpointSettings, EndpointTlsSettings
from configs.engines.simulated import SimulatedSettings
from configs.engines.tensorrt_llm import TensorRtLlmSettings
from configs.engines.vllm import SpeculativeSettings, VllmSettings

__all__ = [
    "AnyEngineSettings",
    "EndpointSettings",
    "EndpointTlsSettings",
    "EngineSettings",
    "LlamaCppSettings",
    "ModelArgs",
    "OllamaSettings",
    "SimulatedSettings",
    "SpeculativeSettings",
    "Task",
    "TensorRtLlmSettings",
    "VllmSettings",
]

AnyEngineSettings = Annotated[
    LlamaCppSettings | SimulatedSettings | VllmSettings | TensorRtLlmSettings | OllamaSettings | EndpointSettings,
    Field(discriminator="engine"),
]


class ModelArgs(RootModel[AnyEngineSettings]):
    """`args` of a model's application (`import_path: deployments.app:model`)."""
