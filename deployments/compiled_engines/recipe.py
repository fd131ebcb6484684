"""What is to be built, checked before anything runs."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from configs.settings import Settings, error_at

Quantization = Literal[
    "fp8", "fp8_pc_pt", "nvfp4", "int8_sq", "int4_awq", "w4a8_awq", "int8_wo", "int4_wo", "full_prec"
]
"""Formats of `examples/quantization/quantize.py` that take no options of their own."""

Count = Annotated[int, Field(ge=1, le=10_000_000)]

UNCALIBRATED = frozenset({None, "full_prec", "int8_wo", "int4_wo"})
"""Formats that need no samples of text, as long as the KV cache is not quantized either."""

OWN_BUILD_OPTIONS = {
    "--checkpoint_dir": "SOURCE",
    "--model_config": "SOURCE",
    "--build_config": "the options of this command",
    "--output_dir": "OUTPUT",
    "--max_batch_size": "--max-batch-size",
    "--max_input_len": "--max-input-len",
    "--max_seq_len": "--max-seq-len",
    "--max_decoder_seq_len": "--max-seq-len",
    "--max_num_tokens": "--max-num-tokens",
    "--workers": "--workers",
    "--auto_parallel": "--tensor-parallel-size",
    "--dry_run": "nothing: it would leave no engine",
}
"""Options of `trtllm-build` that Enginehouse writes itself, and what to use instead."""


class Recipe(Settings):
    """One engine."""

    source: Annotated[str, Field(min_length=1)]
    """Absolute path of a checkpoint's folder, in Hugging Face's format."""

    dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    """Precision of what is not quantized. `auto` takes the checkpoint's; float32 becomes float16."""

    quantization: Quantization | None = None
    """None converts the weights as they are."""

    kv_cache_dtype: Literal["auto", "fp8", "int8"] = "auto"

    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1

    max_batch_size: Count | None = None
    """None leaves a limit to `trtllm-build`, here and below."""

    max_input_len: Count | None = None
    """Tokens of the longest prompt."""

    max_seq_len: Count | None = None
    """Tokens of prompt and completion together."""

    max_num_tokens: Count | None = None
    """Tokens of all requests in one step."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Ranks that are converted and compiled at once. Compiling takes a GPU for each."""

    calibration_size: Count | None = None
    """Samples of text. None leaves it to `quantize.py`: 512."""

    calibration_data: Annotated[str, Field(min_length=1)] | None = None
    """Data set on the hub, or its folder. None leaves it to `quantize.py`: cnn_dailymail, which it downloads."""

    extra_build_args: tuple[str, ...] = ()
    """More words for `trtllm-build`, which checks them."""

    @property
    def world_size(self) -> int:
        return self.tensor_parallel_size * self.pipeline_parallel_size

    @property
    def is_quantized(self) -> bool:
        """Whether `quantize.py` writes the checkpoint, and not the model family's own script."""
        return self.quantization is not None or self.kv_cache_dtype != "auto"

    @property
    def is_calibrated(self) -> bool:
        return self.quantization not in UNCALIBRATED or self.kv_cache_dtype != "auto"

    @model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        if self.max_input_len is not None and self.max_seq_len is not None and self.max_input_len >= self.max_seq_len:
            raise error_at(
                ("max_input_len",), f"must be below max_seq_len, {self.max_seq_len}: no token could be generated"
            )
        return self

    @model_validator(mode="after")
    def _workers_have_ranks(self) -> Self:
        if self.workers > self.world_size:
            raise error_at(("workers",), f"there are {self.world_size} ranks to build")
        return self

    @model_validator(mode="after")
    def _calibration_happens(self) -> Self:
        for name in ("calibration_size", "calibration_data"):
            if getattr(self, name) is not None and not self.is_calibrated:
                raise error_at((name,), f"nothing is calibrated for quantization {self.quantization or 'none'}")
        return self

    @model_validator(mode="after")
    def _extra_args_are_extra(self) -> Self:
        for position, word in enumerate(self.extra_build_args):
            name = word.partition("=")[0].replace("-", "_").replace("__", "--", 1)
            if name in OWN_BUILD_OPTIONS:
                raise error_at(
                    ("extra_build_args", position), f"{name} is Enginehouse's own; use {OWN_BUILD_OPTIONS[name]}"
                )
        return self
