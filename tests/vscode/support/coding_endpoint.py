"""An endpoint of others behind the house: a model that reads files with the agent's tools, and fills in the middle."""

import contextlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAME = "scripted"
CONTEXT = 65_536
"""In tokens: VS Code's agent needs some 20,000 for its instructions and tools."""
QUESTION = "What is the secret word in notes.txt?"
THOUGHT, WORDS = "I should read it.", "I read it."
NOTHING = "I have nothing to say."
COMPLETION = "return a + b"
HOLD = "Say nothing for now."
"""A chat that asks for this begins, and goes on when `release` is called, or ends when the client is gone."""


class CodingEndpoint(ThreadingHTTPServer):
    """Listens on a free port of loopback. `chats` and `completions` are the bodies that came since `forget`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port: int = self.server_address[1]
        self.chats: list[dict[str, Any]] = []
        self.completions: list[dict[str, Any]] = []
        self.file = Path()
        """What the model has the editor read for the answer to `QUESTION`."""
        self.num_given_up = 0
        """Chats whose client went away while they were held."""
        self.is_refusing = False
        """Every chat is answered 400."""
        self.is_busy = False
        """Every completion is answered 503."""
        self.released = threading.Event()

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator["CodingEndpoint"]:
        endpoint = cls()
        serving = threading.Thread(target=endpoint.serve_forever)
        serving.start()
        try:
            yield endpoint
        finally:
            endpoint.release()
            endpoint.shutdown()
            serving.join()
            endpoint.server_close()

    def forget(self) -> None:
        self.chats.clear()
        self.completions.clear()
        self.num_given_up = 0
        self.is_refusing = False
        self.is_busy = False
        self.released.clear()

    def release(self) -> None:
        self.released.set()

    def handle_error(self, request: object, client_address: object) -> None:
        """The router resets connections that it needs no longer; everything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionResetError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as the base calls it

    def results(self) -> list[str]:
        """What the tools of the last chat with results said."""
        said = [[m["content"] for m in chat["messages"] if m["role"] == "tool"] for chat in self.chats]
        return next((results for results in reversed(said) if results), [])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CodingEndpoint

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: pytest shows what the endpoint was asked where a test fails."""

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": NAME, "object": "model", "context_length": CONTEXT}]})

    def do_POST(self) -> None:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/completions":
            self.server.completions.append(body)
            if self.server.is_busy:
                self._answer({"error": {"message": "Busy.", "type": "server_error"}}, 503)
                return
            # What is asked for behind a completion that was accepted is nothing.
            text = "" if COMPLETION in body["prompt"] else COMPLETION
            self._answer(_document("text_completion", {"text": text, "finish_reason": "stop"}, USAGE))
            return
        self.server.chats.append(body)
        if self.server.is_refusing:
            self._answer({"error": {"message": "Not today.", "type": "invalid_request_error"}}, 400)
            return
        if not body.get("stream"):
            message = {"role": "assistant", "content": "A title"}
            self._answer(_document("chat.completion", {"message": message, "finish_reason": "stop"}, USAGE))
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._stream(body)

    def _stream(self, body: dict[str, Any]) -> None:
        asked = str(body["messages"][-1]["content"])
        tools = body.get("tools", [])
        call = _reading(tools, self.server.file)
        results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        if HOLD in asked and tools:  # not where a title is made of it
            self._hold()
        if results:
            self._say({"content": f"The file says: {_read(results[-1])}"})
        elif QUESTION in asked and call is not None:
            self._say({"reasoning_content": THOUGHT}, {"content": WORDS}, *_deltas(*call))
            self._end("tool_calls")
            return
        else:
            self._say({"content": NOTHING})
        self._end("stop")

    def _hold(self) -> None:
        """Write as long as nobody releases it: a client that is gone is noticed by that alone."""
        self._say({"content": "Holding on "})
        try:
            while not self.server.released.wait(0.05):
                self._say({"content": "and on "})
        except OSError:
            self.server.num_given_up += 1
            raise

    def _say(self, *deltas: dict[str, Any], finish: str | None = None) -> None:
        for delta in deltas:
            self._event(_document("chat.completion.chunk", {"delta": delta, "finish_reason": finish}))

    def _end(self, reason: str) -> None:
        self._say({}, finish=reason)
        self._event({**_document("chat.completion.chunk", {}, USAGE), "choices": []})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, document: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(document).encode() + b"\n\n")
        self.wfile.flush()

    def _answer(self, document: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def _document(kind: str, choice: dict[str, Any], usage: dict[str, int] | None = None) -> dict[str, Any]:
    whole = {"id": "c", "object": kind, "created": 1, "model": NAME, "choices": [{"index": 0, **choice}]}
    return whole if usage is None else {**whole, "usage": usage}


def _reading(tools: list[dict[str, Any]], file: Path) -> tuple[str, dict[str, Any]] | None:
    """The call that reads the file with one of the tools of VS Code, Codex, Cline, Claude Code or Continue."""
    calls: dict[str, dict[str, Any]] = {
        "read_file": {"filePath": str(file), "startLine": 1, "endLine": 10},
        "exec_command": {"cmd": f"cat {file.name}"},
        "read_files": {"paths": [file.name]},
    }
    for function in (tool["function"] for tool in tools):
        name = function["name"]
        if name == "Read":  # of two clients
            path = "file_path" if "file_path" in function["parameters"]["properties"] else "filepath"
            return name, {path: str(file)}
        if name in calls:
            return name, calls[name]
    return None


def _read(result: str) -> str:
    """What the file says, without what a tool writes around it."""
    said = re.search(r"The secret word is \w+\.", result)
    return said.group() if said is not None else result.strip()


def _deltas(tool: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Of one call of a tool, its arguments cut in the middle."""
    text = json.dumps(arguments)
    yield {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": tool}}]}
    for part in (text[:9], text[9:]):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}
