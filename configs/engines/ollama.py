"""Settings of the engine `ollama`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from configs.engines.addresses import HttpAddress
from configs.engines.base import EngineSettings, Task
from configs.settings import EnvironmentName, error_at


class OllamaSettings(EngineSettings):
    """Ollama: one that the replica starts, or one that runs already. For laptops, and as a fallback."""

    engine: Literal["ollama"]
    """Ollama, 0.5 or later."""

    tasks: ClassVar[tuple[Task, ...]] = ("generate", "embed")

    model_source: Annotated[str, Field(min_length=1)]
    """The model's name in Ollama, with its tag: `qwen2.5-coder:1.5b`. Without one it means `:latest`."""

    base_url: HttpAddress | None = None
    """Address of an Ollama that runs already, such as `http://10.0.0.7:11434`. Default: the replica starts one."""

    api_key_env: EnvironmentName | None = None
    """Environment variable with the key for `base_url`, sent as a bearer token. Default: no key."""

    executable: Annotated[str, Field(min_length=1)] = "ollama"
    """Ollama's program, where the replica starts it: a path, or a name on the PATH."""

    models_folder: str | None = None
    """Where the started Ollama keeps its models. Default: Ollama's own choice."""

    pull: Literal["missing", "never"] = "missing"
    """Whether a model that is not there is downloaded when the replica starts. Without internet: `never`, which makes
    a missing model an error that says so."""

    max_model_len: Annotated[int, Field(ge=64, le=10_000_000)] | None = None
    """Context of one request, in tokens: prompt and completion together. A started Ollama gets it as its context
    length. Default: what Ollama gives, 4096 without a large GPU; Ollama cuts longer prompts without a word."""

    max_num_seqs: Annotated[int, Field(ge=1, le=256)] | None = None
    """Requests that a started Ollama runs at once; more wait. Default: Ollama's own choice."""

    @model_validator(mode="after")
    def _a_running_ollama_is_not_configured(self) -> Self:
        if self.base_url is None:
            if self.api_key_env is not None:
                raise error_at(("api_key_env",), "is for a base_url; an Ollama that the replica starts asks for no key")
            return self
        for name in ("models_folder", "max_num_seqs"):
            if getattr(self, name) is not None:
                raise error_at((name,), "is for an Ollama that the replica starts, not for one at a base_url")
        return self
