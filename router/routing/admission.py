"""
A request gets its model, and a place at it, and its answer says which.

    choose the model -> make its prompt of what is around a cursor -> fit its limits -> take a place
"""

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

from router.call import Account, Call, Route
from router.fim.filling import fill_in, who_fills_in
from router.fitting.abilities import ignored_fields
from router.http.answer import Answer
from router.http.asgi import Headers, Scope
from router.metrics import ROUTED
from router.models.table import Choice, Model, ModelTable
from router.routing.facts import Facts
from router.routing.limits import fit_call
from router.routing.occupancy import Place
from router.state import RouterState

ROUTE_HEADER = b"x-enginehouse-route"
IGNORED_HEADER = b"x-enginehouse-ignored"
"""Names fields of the request that were left out, since the model can do nothing with them."""


class Admission:
    """One request's. `leave` it once its headers are out or will never be."""

    def __init__(self, state: RouterState, answer: Answer, account: Account) -> None:
        self._state = state
        self._choice: Choice | None = None
        self._place: Place | None = None
        self._ignored: tuple[str, ...] = ()
        self.account = account
        """Says which replica was asked last: this request's own, or that of a generation which it shares."""
        self._answer = answer
        answer.late_headers = self._headers

    def admit(self, table: ModelTable, call: Call, scope: Scope, tenant: str) -> tuple[Call, Model]:
        """
        The model, and the call as it may be asked of it.

        Raises:
            ModelNotFound: there is none of that name.
            UnsupportedParameter: it has a `suffix`, and the model cannot fill in.
            ContextLengthExceeded: the prompt is longer than the model takes here.
        """
        choice = table.choose(
            call.model_name, lambda: facts_of(call.route, call.body, len(call.raw), scope["headers"], tenant)
        )
        choice = self._choice = who_fills_in(call, choice, table, self._state.directory)
        model = choice.model
        self.account.labels["model"] = model.name
        if choice.rule is not None:
            self._state.sink.record(ROUTED, 1, {"model": model.name, "rule": choice.rule})
        call = fit_call(fill_in(call, model, self._state.directory), model)
        if "tools" in call.body:
            self._ignored = ignored_fields(call, model, self._state.directory.of(*model.applications))
        return call, model

    def take_place(self, model: Model, tenant: str) -> None:
        """
        One of those that the model has.

        Raises:
            RateLimited: the key has as many requests at this model as it may.
            EngineOverloaded: the model has as many as it takes.
        """
        self._place = self._state.occupancy.enter(model, tenant)

    def give_place_back(self) -> None:
        """Where it has one."""
        if self._place is not None:
            self._state.occupancy.leave(self._place)
            self._place = None

    def leave(self) -> None:
        self._answer.late_headers = None  # else each would keep the other until Python looks for cycles
        self.give_place_back()

    def _headers(self) -> Headers:
        """Made when the headers of the answer go out: then it is known who answers, unless they go ahead of it."""
        choice = self._choice
        if choice is None:
            return []
        replica_id = "" if self._answer.is_ahead else self.account.labels["replica"]
        application = self._state.directory.application_of(replica_id) if replica_id else None
        headers = [(ROUTE_HEADER, route_text(choice.model.name, application, choice.rule).encode())]
        return [*headers, (IGNORED_HEADER, ", ".join(self._ignored).encode())] if self._ignored else headers


@lru_cache(maxsize=4096)  # all three are names of the table, so there are few
def route_text(model: str, application: str | None, rule: str | None) -> str:
    """As in `model=NAME; application=NAME; rule=NAME/RULE`; without what there is not."""
    parts = [f"model={model}"]
    if application is not None:
        parts.append(f"application={quote(application, safe='/:@+')}")
    if rule is not None:
        parts.append(f"rule={rule}")
    return "; ".join(parts)


def facts_of(route: Route, body: Mapping[str, object], num_bytes: int, headers: Headers, tenant: str) -> Facts:
    """`headers` have names in lower case. The moment is now."""
    return Facts(route.task, route.prompt_field, body, num_bytes, headers, tenant, dt.datetime.now(dt.UTC))
