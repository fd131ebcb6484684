"""A client of a router's files and batches, for the command line. Standard library only: nothing of it needs Ray."""

import http.client
import json
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 262_144
_TIMEOUT_S = 60.0


class BatchClientError(Exception):
    """The router refused, in its own words."""


class BatchClient:
    """
    Asks the router at `base_url`, which ends with `/v1`.

    Every method raises OSError when the router does not answer, and BatchClientError when it refuses.
    """

    def __init__(self, base_url: str, key: str | None) -> None:
        self._base_url = base_url
        self._headers = {} if key is None else {"authorization": f"Bearer {key}"}

    def ask_whether_welcome(self) -> None:
        """
        Returns if files would be taken. To be asked before a long upload: a router that refuses one does not read it
        to its end, and what it says may be lost with the connection.
        """
        self._ask("/batches?limit=1", "GET", None, {})

    def upload(self, file: Path, on_sent: Callable[[int], None]) -> str:
        """The new file's id. `on_sent` is told of bytes as they go out."""
        boundary = secrets.token_hex(16)
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{boundary}\r\n'
            f'content-disposition: form-data; name="file"; filename="{_quoted(file.name)}"\r\n\r\n'
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "content-type": f"multipart/form-data; boundary={boundary}",
            "content-length": str(len(head) + file.stat().st_size + len(tail)),
        }

        def parts() -> Iterator[bytes]:
            yield head
            with file.open("rb") as content:
                while part := content.read(_CHUNK_BYTES):
                    yield part
                    on_sent(len(part))
            yield tail

        file_id: str = self._ask("/files", "POST", parts(), headers)["id"]
        return file_id

    def create(self, file_id: str, endpoint: str, window: str) -> dict[str, Any]:
        wish = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": window}
        created: dict[str, Any] = self._ask(
            "/batches", "POST", json.dumps(wish).encode(), {"content-type": "application/json"}
        )
        return created

    def find(self, batch_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._ask(f"/batches/{batch_id}", "GET", None, {})
        return found

    def cancel(self, batch_id: str) -> dict[str, Any]:
        cancelled: dict[str, Any] = self._ask(f"/batches/{batch_id}/cancel", "POST", b"", {})
        return cancelled

    def download(self, file_id: str, target: Path) -> None:
        """Write a file's content. `target` appears once it is whole."""
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with self._open(f"/files/{file_id}/content", "GET", None, {}) as answer, partial.open("wb") as out:
                while part := answer.read(_CHUNK_BYTES):
                    out.write(part)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _ask(self, path: str, method: str, body: bytes | Iterator[bytes] | None, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
        with self._open(path, method, body, headers) as answer:
            return json.load(answer)

    def _open(
        self, path: str, method: str, body: bytes | Iterator[bytes] | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        request = urllib.request.Request(  # noqa: S310 - the command checks the scheme
            self._base_url + path, body, {**self._headers, **headers}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the house is near, whatever http_proxy
        try:
            answer: http.client.HTTPResponse = opener.open(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            raise BatchClientError(_refusal(error)) from None
        except urllib.error.URLError as error:  # what happened is its reason, and its own text is for programmers
            raise error.reason if isinstance(error.reason, OSError) else OSError(error.reason) from None
        except http.client.HTTPException as error:
            raise OSError(f"the answer is not HTTP: {type(error).__name__}") from error
        return answer


def _refusal(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        told = json.loads(text)["error"]
        field = f"{told['param']}: " if told.get("param") else ""
        return f"the router answers {error.code}: {field}{told['message']}"
    except (ValueError, KeyError, TypeError):
        return f"the router answers {error.code}: {text[:300]}"


def _quoted(name: str) -> str:
    return name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
