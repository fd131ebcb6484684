"""Asking a running router whether its models answer."""

import json
import urllib.error
import urllib.parse
import urllib.request

from deployments.editors.offered import OfferedModel, offered_model
from deployments.engines.contract import cheapest_request


class RouterClient:
    """
    A client of one router, for the command line.

    `base_url` ends with `/v1`. Every method raises OSError when the router does not answer, or not with 200.
    """

    def __init__(self, base_url: str, key: str | None) -> None:
        self.base_url = base_url
        # What was kept says nothing of an engine: each question is for one that answers now.
        self._headers = {"x-enginehouse-cache": "off"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"

    def models(self) -> list[OfferedModel]:
        """The models that are offered, aliases included."""
        cards = json.loads(self._open("/models", None, timeout_s=10))["data"]
        return [offered_model(card) for card in cards]

    def first_answer(self, model: str, timeout_s: float) -> None:
        """Have the model do the least that its task allows: generate one token, say."""
        offered = offered_model(json.loads(self._open(f"/models/{urllib.parse.quote(model)}", None, timeout_s)))
        request = cheapest_request(model, offered.task)
        self._open(request.path.removeprefix("/v1"), request.content, timeout_s)

    def _open(self, path: str, content: tuple[bytes, str] | None, timeout_s: float) -> bytes:
        """What it answers, with status 200. `content` is bytes and their type; None: nothing is posted."""
        data, content_type = (None, "application/json") if content is None else content
        headers = {**self._headers, "content-type": content_type}
        request = urllib.request.Request(self.base_url + path, data, headers)  # noqa: S310 - our own router
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever http_proxy says
        try:
            with opener.open(request, timeout=timeout_s) as response:
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as error:
            raise OSError(f"{error.code} {error.read().decode(errors='replace')[:500]}") from error
