"""Settings of what a model's chat template takes."""

from typing import Literal, TypeAlias

from configs.settings import Settings

RoleRefusal: TypeAlias = Literal["developer", "system", "late_system", "neighbours"]
"""What chat templates do not take, or pass over without a word."""


class RolePolicy(Settings):
    """
    Chats as the model's template takes them.

    Editors send messages of one role behind each other, `developer`, and `system` in the midst of a conversation. What
    a template takes reaches it as it is.
    """

    refuses: tuple[RoleRefusal, ...] | None = None
    """What the template does not take. `developer`: the role, which then becomes `system`. `system`: that role
    anywhere; the user says it. `late_system`: the same behind the first other message, and several at the beginning,
    which then become one. `neighbours`: two messages of one role behind each other, which then become one. Default:
    what the engine is found to refuse when it starts. `[]`: nothing is changed."""
