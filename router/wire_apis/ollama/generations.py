"""A request in Ollama's API on the path of one in OpenAI's."""

import orjson

from router.errors import ModelDoesNotSupport
from router.models.capabilities import ability_of
from router.replicas.statement import Ability
from router.wire_apis.ollama.names import known_name, models_of
from router.wire_apis.pieces import Json
from router.wire_apis.translation import Reading, TranslatedGeneration


class OnlyLoad(Exception):
    """
    A request that asks for nothing but that its model is there. `answer` is what it is told; `model` is its own.

    `wakes` is False where it need not be there any more: then nothing changes, as others may use it.
    """

    def __init__(self, model: str, answer: Json, *, wakes: bool) -> None:
        super().__init__(model)
        self.model = model
        self.answer = answer
        self.wakes = wakes


class OllamaGeneration(TranslatedGeneration):
    """One request, and its answer."""

    async def _serve(self) -> None:
        try:
            await super()._serve()
        except OnlyLoad as load:
            self._load(load)

    def _read(self, raw: bytes) -> Reading:
        reading = super()._read(raw)
        name = reading.body["model"] = known_name(reading.body["model"], self._table)
        if self._table.find_auto(name) is None and reading.route.is_chat:
            self._refuse_what_it_cannot(name, reading.body)
        return reading

    def _refuse_what_it_cannot(self, name: str, body: Json) -> None:
        """
        Ollama refuses tools and thinking of models that have neither, and its clients count on that: they ask again
        without. So these are refused here too, where OpenAI's clients get an answer in words.

        Raises:
            ModelNotFound: there is no such model.
            ModelDoesNotSupport: it cannot do what is wanted.
        """
        model = self._table.resolve(name)
        replicas = self._state.directory.last_of(*model.applications)
        wants_thought = body.get("chat_template_kwargs", {}).get("enable_thinking") or "reasoning_effort" in body
        wanted: tuple[tuple[Ability, str, bool], ...] = (
            ("tools", "tools", "tools" in body), ("reasoning", "thinking", bool(wants_thought)),
        )  # fmt: skip
        for ability, word, is_wanted in wanted:
            if is_wanted and replicas and all(ability_of(model, one, ability) is False for one in replicas):
                param = "tools" if ability == "tools" else "think"
                raise ModelDoesNotSupport(f"{name!r} does not support {word}", param=param)

    def _load(self, load: OnlyLoad) -> None:
        """
        A model that sleeps is woken, and not waited for: the request that comes next waits as any other.

        Raises:
            ModelNotFound: there is no such model.
        """
        models = models_of(load.model, self._table)
        if len(models) == 1:
            self._account.labels["model"] = models[0].name
            if load.wakes and not self._state.directory.of(*models[0].applications):
                self._state.demand.missed(models[0].applications[0])
        self._translated.send_own(orjson.dumps(load.answer))
