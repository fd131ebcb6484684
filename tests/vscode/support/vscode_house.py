"""The house that VS Code is pointed at: a real model, and an endpoint whose answers the tests write."""

import contextlib
import os
from collections.abc import Iterator

from coding_endpoint import NAME
from house_files import KEYS, KEYS_ENV, Json, free_port, model, router, serve_file
from named_engines import engine_args

KEY = KEYS[0]
SECRET = "plum"
FILES = {
    "notes.txt": f"The secret word is {SECRET}.\n",
    "add.py": "def add(a, b):\n    \n",
    "multiply.py": "def multiply(a, b):\n    \n",
}

SETTINGS = {"chat.utilitySmallModel": "enginehouse/smollm2", "workbench.startupEditor": "none"}
"""VS Code's, as a user would write them: titles and progress messages come from the small model. No page of welcome."""

CUSTOM_NAME = "coder by hand"


def custom_endpoint(base_url: str) -> list[Json]:
    """The content of `chatLanguageModels.json`, for Copilot Chat's own way to models: without our extension."""
    model = {
        "id": "coder", "name": CUSTOM_NAME, "url": f"{base_url}/chat/completions", "toolCalling": True, "vision": False,
        "maxInputTokens": 49_152, "maxOutputTokens": 16_384, "requestHeaders": {"Authorization": f"Bearer {KEY}"},
    }  # fmt: skip
    return [{"vendor": "customendpoint", "name": "By hand", "models": [model]}]


ENGINE = os.environ.get("ENGINEHOUSE_TEST_ENGINE", "llama_cpp")
"""What answers as `smollm2`: `make test-vscode ENGINE=simulated`."""
OFFERED = ["coder", CUSTOM_NAME, "default (coder)", *(["smollm2"] if ENGINE == "tensorrt_llm" else [])]
"""What VS Code offers for a chat: what calls tools, as the model of the stand-in for TensorRT-LLM does."""


@contextlib.contextmanager
def vscode_house(endpoint_port: int) -> Iterator[tuple[Json, dict[str, str]]]:
    """`coder` calls tools and fills in the middle; `smollm2` is asked for titles and the like. And its environment."""
    table = router(free_port(), {"coder": ["default"], "smollm2": []}, api_keys={"env": KEYS_ENV})
    routes = table["deployments"][0]["user_config"]["models"]
    routes["coder"] |= {"capabilities": {"tools": True}, "fim": {"template": "native"}}
    routes["smollm2"]["limits"] = {"max_completion_tokens": 48}
    coder = model("coder", engine="openai", model_source=NAME, base_url=f"http://127.0.0.1:{endpoint_port}/v1")
    # A token of the stand-in's is one character, so the same prompt is four times as long there.
    context = 8192 if ENGINE == "llama_cpp" else 65_536
    with engine_args(ENGINE) as args:
        small = model("smollm2", **args, max_model_len=context, max_num_seqs=1)
        yield serve_file(table, [coder, small]), {KEYS_ENV: ",".join(KEYS)}
