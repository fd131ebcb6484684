"""Every client that Enginehouse knows, by the name that is typed."""

from collections.abc import Mapping

from deployments.editors.client import Client
from deployments.editors.clients import (
    claude_code,
    cline,
    codex,
    continue_dev,
    copilot,
    huggingface,
    kilo,
    llama_vscode,
    ollama,
    roo,
    twinny,
)

_CLIENTS = (
    copilot.CLIENT,
    huggingface.CLIENT,
    continue_dev.CLIENT,
    cline.CLIENT,
    roo.CLIENT,
    kilo.CLIENT,
    llama_vscode.CLIENT,
    twinny.CLIENT,
    codex.CLIENT,
    claude_code.CLIENT,
    ollama.CLIENT,
)
CLIENTS: Mapping[str, Client] = {client.name: client for client in _CLIENTS}
