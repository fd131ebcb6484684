"""Errors in OpenAI's envelope, with the names that fields have in another API."""

from collections.abc import Mapping

import orjson

from router.errors import ServingError
from router.http.error_bodies import error_envelope
from router.http.event_stream import encode_event


class OpenAiErrors:
    """`names` are the fields of a completion, as they are called in the API."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def body(self, error: ServingError, request_id: str) -> bytes:  # noqa: ARG002 - every API's signature
        return orjson.dumps(self._envelope(error))

    def event(self, error: ServingError, request_id: str) -> bytes:  # noqa: ARG002 - every API's signature
        return encode_event(self._envelope(error))

    def _envelope(self, error: ServingError) -> dict[str, object]:
        fields = error_envelope(error)["error"]
        param = fields["param"]
        own = None if param is None else self._names.get(param)
        if own is not None:
            fields = {**fields, "param": own, "message": str(fields["message"]).replace(f"`{param}`", f"`{own}`")}
        return {"error": fields}
