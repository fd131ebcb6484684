"""Questions to an engine that has just become ready, beside what clients ask."""

from collections.abc import Mapping

import aiohttp

from deployments.engines.contract import EngineAddress
from deployments.engines.front.dialect import Dialect, JsonObject


class Interview:
    """`model` is what the engine calls its model. `dialect` is that of the front before it, where there is one."""

    def __init__(
        self, session: aiohttp.ClientSession, model: str, address: EngineAddress, dialect: Dialect | None
    ) -> None:
        self.model = model
        self._session = session
        self._url = f"http://{address.host}:{address.port}"
        self._headers = {"Authorization": f"Bearer {address.secret}"}
        self._dialect = dialect

    async def ask(self, path: str, body: Mapping[str, object]) -> JsonObject:
        """The JSON object that it answers with status 200; empty where it does not."""
        return await self._post(self._url + path, body, self._headers)

    async def look(self, path: str) -> JsonObject:
        """The same of a GET."""
        try:
            async with self._session.get(self._url + path, headers=self._headers) as response:
                return await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return {}

    async def ask_behind_front(self, path: str, body: Mapping[str, object]) -> JsonObject:
        """The same of the server that stands behind a front; empty where there is none."""
        if self._dialect is None:
            return {}
        upstream = self._dialect.upstream
        return await self._post(upstream.url + path, body, upstream.headers)

    async def version(self) -> str:
        """The engine's own; empty where it does not say."""
        return str((await self.look("/version")).get("version", ""))

    async def max_model_len(self) -> int | None:
        """Context of one request, in tokens, as its list of models has it."""
        lengths = [card.get("max_model_len") for card in await self._cards()]
        return next((length for length in lengths if isinstance(length, int)), None)

    async def model_names(self) -> list[object]:
        """What it calls its models; empty where it does not say."""
        return [card.get("id") for card in await self._cards()]

    async def _cards(self) -> list[JsonObject]:
        cards = (await self.look("/v1/models")).get("data")
        return [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []

    async def _post(self, url: str, body: Mapping[str, object], headers: Mapping[str, str]) -> JsonObject:
        try:
            async with self._session.post(url, json=body, headers=headers) as response:
                return await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return {}

    async def _read(self, response: aiohttp.ClientResponse) -> JsonObject:
        document = await response.json() if response.status == 200 else {}
        return document if isinstance(document, dict) else {}
