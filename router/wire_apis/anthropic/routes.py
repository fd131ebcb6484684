"""The routes of Anthropic's API."""

from router.http.asgi import Receive, Scope, Send
from router.state import RouterState
from router.wire_apis.anthropic.answers import MessageWriter
from router.wire_apis.anthropic.counting import count_tokens
from router.wire_apis.anthropic.errors import ERRORS
from router.wire_apis.anthropic.requests import read_request
from router.wire_apis.questions import QuestionRoute
from router.wire_apis.translation import ErrorWords, Reading, TranslatedGeneration


class Messages:
    """`POST /v1/messages`."""

    path = "/v1/messages"
    summary = "A message, streamed or whole, as Anthropic has it"
    methods: tuple[str, ...] = ("POST",)
    needs_key = True
    errors: ErrorWords = ERRORS
    id_header: bytes | None = b"request-id"

    def read(self, raw: bytes, request_id: str) -> Reading:
        """
        Raises:
            InvalidRequest: the request has a mistake, which the message names.
        """
        body, asked, session = read_request(raw)
        return Reading(body, MessageWriter(asked, request_id), session)

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await TranslatedGeneration(state, self, scope, receive, send).serve()


COUNT_TOKENS = QuestionRoute(
    "/v1/messages/count_tokens",
    "The tokens that a message's prompt has",
    count_tokens,
    ERRORS,
    id_header=Messages.id_header,
)
