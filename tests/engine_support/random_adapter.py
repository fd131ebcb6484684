"""Run in vLLM's environment: writes a LoRA adapter for SmolLM2-135M with random values, strong enough to be noticed."""

import json
import sys
from pathlib import Path

import torch  # vLLM's environment has it
from safetensors.torch import save_file

NUM_LAYERS, HIDDEN_SIZE, RANK = 30, 576, 4

folder = Path(sys.argv[1])
folder.mkdir()
torch.manual_seed(0)
tensors = {}
for layer in range(NUM_LAYERS):
    name = f"base_model.model.model.layers.{layer}.self_attn.o_proj"
    tensors[f"{name}.lora_A.weight"] = torch.randn(RANK, HIDDEN_SIZE)
    tensors[f"{name}.lora_B.weight"] = torch.randn(HIDDEN_SIZE, RANK) * 0.05
save_file(tensors, folder / "adapter_model.safetensors")
description = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": ["o_proj"], "bias": "none"}
(folder / "adapter_config.json").write_text(json.dumps({**description, "task_type": "CAUSAL_LM"}))
