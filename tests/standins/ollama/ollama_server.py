"""
`ollama serve`, as far as Enginehouse meets it: a stand-in without a model, run by path.

Written after Ollama's own code, version 0.33: its routes, the fields that it reads and ignores, its words for what it
refuses. Its settings are Ollama's environment variables; failures are asked for with these:

STANDIN_REGISTRY        names, separated by commas, that can be pulled; without it there is no internet
STANDIN_PULL_FAILS      a pull ends with this error after its first layer
STANDIN_LOAD_FAILS      no model can be loaded, with this error
STANDIN_DEAF            it never listens
STANDIN_BREAKS_AFTER    every stream breaks after so many tokens
STANDIN_OLD             streams as version 0.5.7 does
STANDIN_TOKEN_MS        pace; 5 by default
"""

import os
import signal
import socket
import sys

from aiohttp import web
from ollama_native_api import NativeApi
from ollama_openai_api import OpenAiApi
from ollama_runner import Runner
from ollama_store import Store

DEFAULT_CONTEXT = 4096


def main() -> None:
    if sys.argv[1:] != ["serve"]:
        sys.exit(f'Error: unknown command {" ".join(sys.argv[1:])!r} for "ollama"')
    host, _, port = os.environ.get("OLLAMA_HOST", "127.0.0.1:11434").rpartition(":")
    if os.environ.get("STANDIN_DEAF"):
        sys.stderr.write("looking for compatible GPUs\n")
        signal.pause()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
    except OSError:
        sys.exit(f"Error: listen tcp {host}:{port}: bind: address already in use")
    store = Store(os.environ["OLLAMA_MODELS"])
    context = int(os.environ.get("OLLAMA_CONTEXT_LENGTH") or DEFAULT_CONTEXT)
    runner = Runner(context, num_parallel=int(os.environ.get("OLLAMA_NUM_PARALLEL") or 1))
    app = web.Application()
    NativeApi(store, runner).add_routes(app)
    OpenAiApi(store, runner).add_routes(app)
    sys.stderr.write(f'level=INFO msg="Listening on {host}:{port} (version 0.33.0)"\n')
    web.run_app(app, sock=listener, print=None, access_log=None, handler_cancellation=True, shutdown_timeout=0)


if __name__ == "__main__":
    main()
