"""
Three houses with the same names: that of configs/laptop.yaml, and the same with another engine behind `smollm2`.

Their model has the same context in each, so that whatever is told of it is the same, too.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from engine_figures import Figures, llama_cpp_figures, simulated_figures, trtllm_figures
from house import ROOT, House
from house_files import KEYS_ENV, Json, free_port, model, models_of, router_of
from named_engines import engine_args

MODEL, VECTORS = "smollm2", "vectors"
CONTEXT = 2048
"""In tokens, as configs/laptop.yaml has it."""
RECORD = "record.jsonl"
"""What the stand-in for TensorRT-LLM writes into the house's folder of what it did."""
_KEPT = ("model", "max_model_len", "max_num_seqs", "drain_timeout_s")
"""What of the model's settings in configs/laptop.yaml every engine has."""


@dataclass(frozen=True)
class NamedHouse:
    """`abilities` are the models for scenarios that not every house can play; `others` are their applications."""

    engine: str
    figures: Callable[[House, Path], Figures]
    abilities: Mapping[str, str]
    others: tuple[Json, ...] = ()

    @property
    def models(self) -> dict[str, str]:
        """By what they are to the clients' scenarios."""
        return {"m": MODEL, "whole": MODEL, "endless": MODEL, **self.abilities}

    @contextlib.contextmanager
    def file(self, folder: Path) -> Iterator[Json]:
        """The Serve file, with an address and a key of its own. `folder` is for what its parts write."""
        file: Json = yaml.safe_load((ROOT / "configs/laptop.yaml").read_text(encoding="utf-8"))
        [application] = models_of(file)
        table = router_of(file)
        table["args"]["listener"]["port"] = free_port()
        table["args"]["batches"]["store"]["path"] = str(folder / "batches")
        table["args"]["api_keys"] = {"env": KEYS_ENV}
        for other in self.others:
            table["deployments"][0]["user_config"]["models"][other["name"]] = {"application": other["name"]}
            file["applications"].append(other)
        with engine_args(self.engine, folder / RECORD) as args:
            application["args"] = {name: application["args"][name] for name in _KEPT} | args
            yield file


HOUSES = {
    "laptop": NamedHouse(
        "llama_cpp",
        lambda house, _: llama_cpp_figures(house, MODEL),
        {"toolless": MODEL, "vectors": VECTORS},
        (model(VECTORS, engine="llama_cpp", task="embed", max_model_len=512, max_num_seqs=2, num_threads=1),),
    ),
    "TensorRT-LLM's stand-in": NamedHouse(
        "tensorrt_llm", lambda _, folder: trtllm_figures(folder / RECORD), {"tools": MODEL}
    ),
    "simulated": NamedHouse("simulated", lambda house, _: simulated_figures(house, MODEL), {"toolless": MODEL}),
}
