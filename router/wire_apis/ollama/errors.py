"""Errors as Ollama has them: one string."""

import orjson

from router.errors import ServingError

_NAMES = {"max_tokens": "options.num_predict", "response_format": "format"}
"""Fields of a completion, as they are called here."""


class OllamaErrors:
    """Nothing says which field is at fault but the message, which always does."""

    def body(self, error: ServingError, request_id: str) -> bytes:  # noqa: ARG002 - every API's signature
        return orjson.dumps({"error": _words(error)})

    def event(self, error: ServingError, request_id: str) -> bytes:
        """The last line of a stream that broke. It has no `done`, and the connection is cut behind it."""
        return self.body(error, request_id) + b"\n"


ERRORS = OllamaErrors()


def _words(error: ServingError) -> str:
    """Always with the name of the field at fault, which the message of an engine may not have."""
    param = None if error.param is None else _NAMES.get(error.param, error.param)
    return error.message if param is None or param in error.message else f"{error.message} (`{param}`)"
