"""The routes of Ollama's API."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from router.call import Account
from router.errors import ModelsAreConfigured, RouteNotFound
from router.http.asgi import Headers, Receive, Scope, Send
from router.state import RouterState
from router.wire_apis.ollama.answers import EmbeddingWriter, GenerationWriter
from router.wire_apis.ollama.errors import ERRORS
from router.wire_apis.ollama.generations import OllamaGeneration, OnlyLoad
from router.wire_apis.ollama.models import running, show, tags, version
from router.wire_apis.ollama.requests import Question, read_chat, read_embed, read_embeddings, read_generate
from router.wire_apis.pieces import Json
from router.wire_apis.questions import QuestionRoute, Reply, WireRoute
from router.wire_apis.translation import EVENTS, ErrorWords, Reading


@dataclass(slots=True, frozen=True)
class Generating:
    """A path where an engine is asked."""

    path: str
    summary: str
    question_of: Callable[[bytes], Question]
    methods: tuple[str, ...] = ("POST",)
    errors: ErrorWords = ERRORS
    id_header: bytes | None = None
    needs_key: bool = True

    def read(self, raw: bytes, request_id: str) -> Reading:  # noqa: ARG002 - every API's signature
        """
        Raises:
            InvalidRequest: the request has a mistake, which the message names.
            OnlyLoad: it asks for nothing but the model.
        """
        question = self.question_of(raw)
        writer = GenerationWriter(question) if question.route.task == "generate" else EmbeddingWriter(question)
        if question.is_load:
            raise OnlyLoad(question.model, writer.loaded(), wakes=not question.is_unload)
        form = writer.form() if isinstance(writer, GenerationWriter) else EVENTS
        return Reading(question.body, writer, route=question.route, form=form)

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await OllamaGeneration(state, self, scope, receive, send).serve()


async def refuse(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:  # noqa: ARG001 - a Reply
    """
    Raises:
        ModelsAreConfigured: always.
    """
    raise ModelsAreConfigured(
        "The models of this cluster are set in its configuration, by whoever runs it: clients can ask for them, not "
        "add, change or remove them. GET /api/tags has their names."
    )


async def miss(state: RouterState, raw: bytes, account: Account) -> tuple[Json, Headers]:  # noqa: ARG001 - a Reply
    """
    Raises:
        RouteNotFound: always.
    """
    raise RouteNotFound("There is nothing at this path below /api.")


def _telling(path: str, summary: str, reply: Reply, methods: tuple[str, ...] = ("GET", "HEAD")) -> QuestionRoute:
    """A path where the router itself answers."""
    return QuestionRoute(path, summary, reply, ERRORS, methods)


def _refusing(path: str, methods: tuple[str, ...] = ("POST",)) -> QuestionRoute:
    """A path where Ollama would change its models, which here are set in the configuration."""
    return QuestionRoute(path, "Refused: models are set in the configuration", refuse, ERRORS, methods)


OLLAMA_ROUTES: tuple[WireRoute, ...] = (
    replace(_telling("/api/version", "The version of Ollama whose API this is", version), needs_key=False),
    _telling("/api/tags", "The models that can be asked for, as Ollama lists them", tags),
    _telling("/api/ps", "The models that are ready", running),
    _telling("/api/show", "What one model can do, as Ollama has it", show, ("POST",)),
    Generating("/api/chat", "A chat, streamed as lines or whole, as Ollama has it", read_chat),
    Generating("/api/generate", "The answer to a prompt, as Ollama has it", read_generate),
    Generating("/api/embed", "Texts as vectors, as Ollama has them", read_embed),
    Generating("/api/embeddings", "A text as a vector, as Ollama had it before", read_embeddings),
    *(_refusing(f"/api/{verb}") for verb in ("pull", "push", "create", "copy")),
    _refusing("/api/delete", ("DELETE",)),
)
BLOBS = _refusing("/api/blobs/", ("HEAD", "POST"))
"""Of any path below it."""
NOTHING = QuestionRoute(
    "/api/", "Nothing", miss, ERRORS, methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
)
"""Of any other path: Ollama's newer clients ask for what is not there, and show its error's text."""
