"""What chooses a model: the contract that rules keep, and functions of your own."""

import importlib
from dataclasses import dataclass
from typing import Protocol

from router.routing.facts import Facts


@dataclass(slots=True, frozen=True)
class Decision:
    """The name of a model, and of the rule by which it was chosen: letters, digits, `.`, `_` and `-`."""

    model: str
    rule: str


class Policy(Protocol):
    """
    Chooses a model for a request, or leaves it to the next policy with None.

    Pure: called on the event loop for each request, so it neither waits nor asks anybody, and the same facts have the
    same decision in every router.
    """

    def __call__(self, facts: Facts, /) -> Decision | None: ...


class PolicyNotFound(ValueError):
    """The import path of a policy leads nowhere."""


def load_policy(import_path: str) -> Policy:
    """
    Args:
        import_path: `package.module:name`, which the router's interpreter can import.

    Raises:
        PolicyNotFound: it cannot, or what is there cannot be called.
    """
    module, _, name = import_path.partition(":")
    try:
        policy: Policy = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise PolicyNotFound(f"the policy {import_path!r} cannot be imported: {error}") from error
    except Exception as error:  # foreign code runs at its import, and may raise anything
        message = f"the policy {import_path!r} fails with {type(error).__name__} when it is imported"
        raise PolicyNotFound(message) from error
    if not callable(policy):
        raise PolicyNotFound(f"the policy {import_path!r} is no function")
    return policy
