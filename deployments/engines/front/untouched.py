"""Requests about sound through a front: only the model's name is changed in them, and nothing in their answers."""

from typing import Final

import aiohttp
import orjson
from aiohttp import web

from deployments.engines.front.passage import HOP_LOST, Passage, refusal
from router.call import AUDIO_ROUTES
from router.errors import ServingError
from router.wire_apis.audio.form import read_form

UNTOUCHED_PATHS: Final = frozenset(AUDIO_ROUTES)
_PASSED_ON: Final = ("Content-Type", "Content-Length", "Content-Disposition")


class UntouchedPassage(Passage):
    """Takes them to the server behind."""

    async def take(self, request: web.Request) -> web.StreamResponse:
        """As that of any other request. Where the server's answer breaks off, so does this one, without a word."""
        try:
            data, content_type = self._named_as_there(request, await request.read())
        except ServingError as error:
            return refusal(400, error.message, param=error.param)
        with self._counts.request():
            try:
                async with await self._ask(request.path, data, content_type) as response:
                    return await self._pass_on(request, response)
            except HOP_LOST as error:
                return refusal(503, f"The engine could not be reached: {error!r}.", code="engine_unavailable")

    def _named_as_there(self, request: web.Request, raw: bytes) -> tuple[bytes, str]:
        """
        The body with the name that the server has for the model, and its content type.

        Raises:
            ServingError: it cannot be read. The router sends none of these.
        """
        if AUDIO_ROUTES[request.path].prompt_field == "file":
            form = read_form(request.headers.get("Content-Type", "").encode(), raw)
            asked = self._dialect.conversation(request.path, dict(form.fields)).request
            return form.with_model(str(asked["model"])), form.content_type
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise ServingError(f"The body is not JSON: {error}.") from None
        if not isinstance(body, dict):
            raise ServingError("The body must be a JSON object.")
        return orjson.dumps(self._dialect.conversation(request.path, body).request), "application/json"

    async def _pass_on(self, request: web.Request, response: aiohttp.ClientResponse) -> web.StreamResponse:
        if response.status != 200:
            return await self._refused(response)
        passed = {name: response.headers[name] for name in _PASSED_ON if name in response.headers}
        if "Content-Encoding" in response.headers:  # aiohttp has unpacked it
            passed.pop("Content-Length", None)
        answer = web.StreamResponse(headers=passed)
        await answer.prepare(request)
        try:
            async for data in response.content.iter_any():
                await answer.write(data)
        except HOP_LOST:
            if request.transport is not None:
                request.transport.close()
            return answer
        await answer.write_eof()
        return answer
