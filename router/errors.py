"""
Every error a client can see, as one tree.

    ServingError                     500 server_error           internal_error
    ├─ InvalidRequest                400 invalid_request_error  invalid_request
    │  ├─ ContextLengthExceeded      400 invalid_request_error  context_length_exceeded
    │  ├─ PreviousResponseNotFound   400 invalid_request_error  previous_response_not_found
    │  ├─ ModelDoesNotSupport        400 invalid_request_error  model_does_not_support
    │  └─ UnsupportedParameter       400 invalid_request_error  unsupported_parameter
    ├─ InvalidApiKey                 401 authentication_error   invalid_api_key
    ├─ ModelsAreConfigured           403 invalid_request_error  models_are_configured
    ├─ RouteNotFound                 404 invalid_request_error  not_found
    ├─ ModelNotFound                 404 invalid_request_error  model_not_found
    ├─ ObjectNotFound                404 invalid_request_error  object_not_found
    ├─ MethodNotAllowed              405 invalid_request_error  method_not_allowed
    ├─ RequestTimeout                408 invalid_request_error  request_timeout         x-should-retry: false
    ├─ RequestTooLarge               413 invalid_request_error  request_too_large
    ├─ RateLimited                   429 rate_limit_error       rate_limit_exceeded
    ├─ HeadersTooLarge               431 invalid_request_error  headers_too_large
    ├─ EngineFailed                  500 server_error           engine_failed           x-should-retry: false
    ├─ BatchesNotConfigured          501 invalid_request_error  batches_not_configured  x-should-retry: false
    ├─ StoreUnavailable              503 server_error           store_unavailable
    ├─ EngineOverloaded              503 server_error           engine_overloaded
    ├─ EngineUnavailable             503 server_error           engine_unavailable
    ├─ EngineTimeout                 504 server_error           engine_timeout          x-should-retry: false
    └─ CompletionTooLate             504 server_error           completion_too_late     x-should-retry: false

Statuses are chosen by what the OpenAI SDKs do with them: they retry 408, 409, 429 and every status from 500 on,
unless told not to. What would only fail again, or cost a whole generation again, says so. 503 is overload and 429
is quota: Codex gives up at once on a 429. Never 422: Copilot shows it as a content filter's verdict.

A mapping is class data; subclasses never override `__init__`, so that every error survives pickling.
"""

from typing import ClassVar


class ServingError(Exception):
    """
    Base of every error a client can see.

    `param` names the field of the request that is at fault. `retry_after_s` is in seconds; it becomes the header
    `retry-after`. `from_engine` says that the engine found the fault, not the router.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    should_retry: ClassVar[bool | None] = None
    """What `x-should-retry` says; None leaves it to the client's own rule."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        from_engine: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.from_engine = from_engine
        self.is_final = False
        """Whether the router has done for the request what it may: nothing of it is to be asked once more."""


class InvalidRequest(ServingError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class PreviousResponseNotFound(InvalidRequest):
    """With exactly this code and status, clients send the whole conversation instead."""

    code = "previous_response_not_found"


class ModelDoesNotSupport(InvalidRequest):
    code = "model_does_not_support"


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"


class InvalidApiKey(ServingError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class ModelsAreConfigured(ServingError):
    """A client wants to change which models there are."""

    status = 403
    type = "invalid_request_error"
    code = "models_are_configured"


class RouteNotFound(ServingError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFound(ServingError):
    status = 404
    type = "invalid_request_error"
    code = "model_not_found"


class ObjectNotFound(ServingError):
    """No such file or batch, or it is another key's: nobody learns which."""

    status = 404
    type = "invalid_request_error"
    code = "object_not_found"


class MethodNotAllowed(ServingError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimeout(ServingError):
    status = 408
    type = "invalid_request_error"
    code = "request_timeout"
    should_retry = False


class RequestTooLarge(ServingError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class RateLimited(ServingError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class HeadersTooLarge(ServingError):
    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"


class EngineFailed(ServingError):
    code = "engine_failed"
    should_retry = False


class BatchesNotConfigured(ServingError):
    status = 501
    type = "invalid_request_error"
    code = "batches_not_configured"
    should_retry = False


class StoreUnavailable(ServingError):
    """Files and batches cannot be read or written now."""

    status = 503
    code = "store_unavailable"


class EngineOverloaded(ServingError):
    status = 503
    code = "engine_overloaded"


class EngineUnavailable(ServingError):
    status = 503
    code = "engine_unavailable"


class EngineTimeout(ServingError):
    status = 504
    code = "engine_timeout"
    should_retry = False


class CompletionTooLate(ServingError):
    """A completion in an editor, which by now is of no use to whoever types there."""

    status = 504
    code = "completion_too_late"
    should_retry = False


class Superseded(Exception):
    """The same editor has asked anew, and was answered with an empty completion. Counted, never sent."""


class ClientDisconnected(Exception):
    """The client left; nobody is there to be answered. Counted, never sent."""
