"""Models as Ollama's clients name them."""

from router.models.table import Model, ModelTable
from router.validation import requested_model
from router.wire_apis.pieces import Json

_USUAL_TAG = ":latest"


def asked_model(document: Json) -> str:
    """
    The model that a request names, as `model` or, as older clients do, as `name`.

    Raises:
        InvalidRequest: it names none.
    """
    if document.get("model") is None and document.get("name") is not None:
        return requested_model({"model": document["name"]})
    return requested_model(document)


def known_name(name: str, table: ModelTable) -> str:
    """The name in the model table. Ollama's clients write `NAME:latest` for NAME, as Ollama does."""
    if name.endswith(_USUAL_TAG) and not table.has_name(name):
        return name.removesuffix(_USUAL_TAG)
    return name


def models_of(name: str, table: ModelTable) -> tuple[Model, ...]:
    """
    The model of that name; several where rules choose one of them.

    Raises:
        ModelNotFound: there is none.
    """
    known = known_name(name, table)
    auto = table.find_auto(known)
    return (table.resolve(known),) if auto is None else table.models_of(auto)
