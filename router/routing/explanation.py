"""Why a request gets the model that it gets: what `enginehouse route --explain` says. Pure."""

from dataclasses import dataclass

from configs.backends import TENANT_ID_CHARS
from router.call import Call
from router.canary.choice import choose_backend, session_key
from router.errors import ServingError
from router.fitting.token_limits import requested_limit
from router.models.table import Choice, Model, ModelTable
from router.routing.admission import route_text
from router.routing.facts import Facts
from router.routing.limits import fit_call
from router.routing.rules import Rule


@dataclass(slots=True, frozen=True)
class Verdict:
    """One condition: the setting, the request's fact that it was held against, and whether it holds."""

    condition: str
    wanted: object
    fact: object
    holds: bool


@dataclass(slots=True, frozen=True)
class RuleReport:
    """One rule. `is_chosen` is true of the first that fits, unless a policy has chosen before the rules."""

    name: str
    model: str
    fits: bool
    is_chosen: bool
    conditions: list[Verdict]


@dataclass(slots=True, frozen=True)
class Explanation:
    """
    One decision. `policy` says what a policy of one's own did, None where there is none. `limits` are those that are
    set; `refusal` is the error that the request would be answered with for one of them. `backend` says by what the
    application was chosen of several backends, None where there is one.
    """

    asked: str
    facts: dict[str, object]
    policy: str | None
    rules: list[RuleReport]
    model: str
    backend: str | None
    application: str
    fallbacks: list[str]
    limits: dict[str, int]
    max_completion_tokens: int | None
    refusal: ServingError | None
    header: str


def explain(table: ModelTable, call: Call, facts: Facts) -> Explanation:
    """
    Raises:
        ModelNotFound: there is no model of the name that is asked for.
    """
    choice, policy, rules = _decide(table, call, facts)
    backend, model = _choose_backend(choice.model, call, facts.tenant)
    refusal = None
    try:
        call = fit_call(call, model)
    except ServingError as error:
        refusal = error
    return Explanation(
        asked=call.model_name,
        facts=facts_by_name(facts),
        policy=policy,
        rules=rules,
        model=model.name,
        backend=backend,
        application=model.applications[0],
        fallbacks=list(model.applications[1:]),
        limits={name: value for name, value in model.limits.model_dump().items() if value is not None},
        max_completion_tokens=requested_limit(call.body),
        refusal=refusal,
        header=route_text(model.name, model.applications[0], choice.rule),
    )


def facts_by_name(facts: Facts) -> dict[str, object]:
    """Every fact that a rule may look at. The hour is that of UTC."""
    return {
        "task": facts.task,
        "prompt_tokens": facts.num_prompt_tokens,
        "has_tools": facts.has_tools,
        "has_images": facts.has_images,
        "is_fim": facts.is_fim,
        "wants_json": facts.wants_json,
        "language": facts.language,
        "editor": facts.editor,
        "user_agent": facts.user_agent,
        "tenant": facts.tenant,
        "time": facts.at.isoformat(timespec="minutes"),
    }


def _decide(table: ModelTable, call: Call, facts: Facts) -> tuple[Choice, str | None, list[RuleReport]]:
    """Once, so that what is explained is what is decided."""
    auto = table.find_auto(call.model_name)
    if auto is None:
        return table.choose(call.model_name, lambda: facts), None, []
    decision = auto.ask_policy(facts)
    policy = None
    if auto.policy is not None:
        did = "leaves it to the rules" if decision is None else f"chooses {decision.model} by {decision.rule}"
        policy = f"{auto.settings.policy} {did}"
    reports = []
    is_open = decision is None
    for rule in auto.rules.rules:
        report = _report(rule, facts, is_open=is_open)
        is_open = is_open and not report.fits
        reports.append(report)
    chosen = decision or auto.rules(facts)
    return Choice(table.resolve(chosen.model), f"{auto.name}/{chosen.rule}"), policy, reports


def _choose_backend(model: Model, call: Call, tenant: str) -> tuple[str | None, Model]:
    """By what one of several is chosen, and the model as the request has it. By chance: the greatest is first."""
    if len(model.backends) < 2:
        return None, model
    if any(tenant[:TENANT_ID_CHARS] in one.tenants for one in model.backends):
        return "that of the API key", choose_backend(model, call, tenant)
    if session_key(call, tenant) is None:
        return "by chance, by its weight: the request has no session", model
    return "that of the session", choose_backend(model, call, tenant)


def _report(rule: Rule, facts: Facts, *, is_open: bool) -> RuleReport:
    verdicts = [
        Verdict(condition.name, condition.wanted, condition.fact(facts), condition.holds(facts))
        for condition in rule.conditions
    ]
    fits = all(verdict.holds for verdict in verdicts)
    return RuleReport(rule.name, rule.model, fits, fits and is_open, verdicts)
