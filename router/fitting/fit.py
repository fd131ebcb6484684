"""A call as one replica is asked. Pure."""

from router.call import Call
from router.fim.filling import fill_in_for
from router.fitting.abilities import fit_abilities, fit_logprobs
from router.fitting.chat_calls import fit_calls
from router.fitting.chat_parts import fit_parts
from router.fitting.chat_roles import fit_roles
from router.fitting.profiles import PROFILES
from router.models.table import Model
from router.replicas.registry import Replica
from router.routing.limits import fit_unsaid


def fit_for(replica: Replica, call: Call, model: Model) -> Call:
    """
    With the prompt, messages, tools and limit that its engine takes: the same call where nothing has to change.

    Raises:
        UnsupportedParameter: its model cannot fill in.
        InvalidRequest: the prompt with a suffix is no text, or a file in a message is none.
    """
    profile = PROFILES[replica.profile]
    call = fit_abilities(fill_in_for(replica, call, model), model, replica)
    call = fit_calls(call)
    if profile.has_chats_logprobs:
        call = fit_logprobs(call)
    if not profile.takes_any_part:
        call = fit_parts(call)
    return fit_unsaid(fit_roles(call, model, replica), model, profile)
