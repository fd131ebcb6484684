"""Rules of the configuration as a policy. Pure."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from configs.routing import AutoRoute, RuleConditions, hours_in, zone_of
from router.routing.facts import Facts
from router.routing.policy import Decision


@dataclass(slots=True, frozen=True)
class Condition:
    """One condition of a rule. `wanted` is its setting, and `fact` gives what it is held against."""

    name: str
    wanted: object
    fact: Callable[[Facts], object]
    accepts: Callable[[object], bool]

    def holds(self, facts: Facts) -> bool:
        return self.accepts(self.fact(facts))


@dataclass(slots=True, frozen=True)
class Rule:
    """One rule, whose conditions must all hold."""

    name: str
    model: str
    conditions: tuple[Condition, ...]

    def fits(self, facts: Facts) -> bool:
        """Conditions are looked at in their order, and none after the first that does not hold."""
        return all(condition.holds(facts) for condition in self.conditions)


class Rules:
    """A policy that always decides: its last rule has no conditions."""

    def __init__(self, settings: AutoRoute) -> None:
        zone = zone_of(settings.time_zone)
        self.rules: Sequence[Rule] = tuple(
            Rule(settings.rule_name(index), rule.model, conditions_of(rule.when, zone))
            for index, rule in enumerate(settings.rules)
        )

    def __call__(self, facts: Facts, /) -> Decision:
        rule = next(rule for rule in self.rules if rule.fits(facts))
        return Decision(rule.model, rule.name)


FACTS: Mapping[str, Callable[[Facts], object]] = {
    "task": lambda facts: facts.task,
    "min_prompt_tokens": lambda facts: facts.num_prompt_tokens,
    "max_prompt_tokens": lambda facts: facts.num_prompt_tokens,
    "has_tools": lambda facts: facts.has_tools,
    "is_fim": lambda facts: facts.is_fim,
    "wants_json": lambda facts: facts.wants_json,
    "tenants": lambda facts: facts.tenant,
    "editors": lambda facts: facts.editor,
    "user_agents": lambda facts: facts.user_agent,
    "has_images": lambda facts: facts.has_images,
    "languages": lambda facts: facts.language,
}
"""What each condition is held against, cheapest first. `hours` needs a time zone beside the facts."""


def conditions_of(when: RuleConditions, zone: dt.tzinfo) -> tuple[Condition, ...]:
    """Those that are set, in the order of what they cost."""
    conditions = [
        Condition(name, wanted, fact, _acceptance(name, wanted))
        for name, fact in FACTS.items()
        if (wanted := getattr(when, name)) not in (None, ())
    ]
    if when.hours is not None:
        hours = hours_in(when.hours)
        conditions.append(Condition("hours", when.hours, lambda facts: facts.hour_in(zone), hours.__contains__))
    return tuple(conditions)


def _acceptance(name: str, wanted: object) -> Callable[[object], bool]:
    match name, wanted:
        case "min_prompt_tokens", int(bound):
            return lambda fact: isinstance(fact, int) and fact >= bound
        case "max_prompt_tokens", int(bound):
            return lambda fact: isinstance(fact, int) and fact <= bound
        case "tenants" | "user_agents", tuple(beginnings):
            lower = tuple(str(each).lower() for each in beginnings)
            return lambda fact: isinstance(fact, str) and fact.startswith(lower)
        case _, tuple(alternatives):
            return frozenset(alternatives).__contains__
        case _:
            return lambda fact: fact == wanted
