"""Asking a running router whether its models answer."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

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
        self._headers = {"content-type": "application/json", "x-enginehouse-cache": "off"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"

    def models(self) -> list[OfferedModel]:
        """The models that are offered, aliases included."""
        cards = self._ask("/models", None, timeout_s=10)["data"]
        return [offered_model(card) for card in cards]

    def first_answer(self, model: str, timeout_s: float) -> None:
        """Have the model do the least that its task allows: generate one token, say."""
        offered = offered_model(self._ask(f"/models/{urllib.parse.quote(model)}", None, timeout_s))
        request = cheapest_request(model, offered.task)
        self._ask(request.path.removeprefix("/v1"), request.body, timeout_s)

    def _ask(self, path: str, body: Mapping[str, Any] | None, timeout_s: float) -> Any:  # noqa: ANN401 - JSON
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data, self._headers)  # noqa: S310 - our own router
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever http_proxy says
        try:
            with opener.open(request, timeout=timeout_s) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise OSError(f"{error.code} {error.read().decode(errors='replace')[:500]}") from error
