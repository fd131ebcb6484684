"""Names that are no models: which one a request gets that asks for such a name."""

import logging
import re
import time

from configs.routing import AutoRoute
from router.routing.facts import Facts
from router.routing.policy import Decision, Policy, load_policy
from router.routing.rules import Rules

logger = logging.getLogger("enginehouse.router")

COMPLAINT_INTERVAL_S = 60.0
"""How often the log says that a policy fails, in seconds: it may fail on every request."""
_RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What may stand in a header, and in a setting."""


class Auto:
    """
    One such name.

    Raises:
        PolicyNotFound: its settings name a policy that cannot be imported.
    """

    def __init__(self, name: str, settings: AutoRoute) -> None:
        self.name = name
        self.settings = settings
        self.rules = Rules(settings)
        self._quiet_until = 0.0
        self.policy: Policy | None = None if settings.policy is None else load_policy(settings.policy)

    def decide(self, facts: Facts) -> Decision:
        """The policy's decision where there is one; else the rules', which always have one."""
        return self.ask_policy(facts) or self.rules(facts)

    def ask_policy(self, facts: Facts) -> Decision | None:
        """None where there is no policy, or it leaves this to the rules, or fails, which the log says now and then."""
        if self.policy is None:
            return None
        try:
            decision = self.policy(facts)
        except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises, the request has rules to go by
            self._complain("failed", error)
            return None
        if decision is None or self._is_allowed(decision):
            return decision
        self._complain(f"chose {str(decision)[:200]!r}, which it may not", None)
        return None

    def _complain(self, what: str, error: Exception | None) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + COMPLAINT_INTERVAL_S
            logger.error("the policy of %r %s: the rules decide", self.name, what, exc_info=error)

    def _is_allowed(self, decision: object) -> bool:
        return (
            isinstance(decision, Decision)
            and decision.model in self.settings.policy_models
            and _RULE_NAME.fullmatch(decision.rule) is not None
        )
