"""The models that options and YAML are checked against."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, field_validator
from schema_models import SchemaModels


class KvCacheChecks(BaseModel):
    @field_validator("free_gpu_memory_fraction", check_fields=False)
    @classmethod
    def check_fraction(cls, value: float | None) -> float | None:
        if value is not None and not 0 <= value <= 1:
            raise ValueError("kv_cache_config.free_gpu_memory_fraction must be a float between 0 and 1")
        return value


def llm_args_model(backend: str | None) -> Any:
    """The old backend's engines take other arguments."""
    table, name = ("trt_llm_args.json", "TrtLlmArgs") if backend == "tensorrt" else ("llm_args.json", "TorchLlmArgs")
    return SchemaModels(Path(__file__).with_name(table), bases={"KvCacheConfig": KvCacheChecks}).model(name)
