"""
A text completion with a `suffix` as one without: its prompt is made with the marks that its model knows. Pure.

That happens before anything is decided by the prompt, so that caches, limits and affinity go by what the engine reads.
Only where nobody knows yet which marks these are, or the model's applications differ in them, it waits for the replica.
"""

from collections.abc import Iterable
from dataclasses import replace

from router.call import Call
from router.errors import InvalidRequest, UnsupportedParameter
from router.fim.marks import fills_in, has_marks
from router.fim.template import FimTemplate, plain_text, set_template
from router.fitting.token_limits import LIMIT_FIELDS
from router.http.bodies import encode_object
from router.models.table import Choice, Model, ModelTable
from router.replicas.registry import Replica, ReplicaDirectory

_PATH = "/v1/completions"
_LIMITS = (*LIMIT_FIELDS, "n_predict")
"""llama.cpp's own name is the last."""
_MADE = ("prompt", "suffix", "stop", "stop_token_ids")
"""Fields that a template changes."""


def who_fills_in(call: Call, choice: Choice, table: ModelTable, directory: ReplicaDirectory) -> Choice:
    """Another model than the one that was asked for, where that cannot fill in and the table names one that can."""
    if table.fim_model is None or not _has_suffix(call) or not call.body["suffix"]:
        return choice
    template = template_of(choice.model, directory)
    if template is None or template.name != "none":
        return choice
    return replace(choice, model=table.resolve(table.fim_model))


def first_that_fills_in(named: str | None, table: ModelTable, directory: ReplicaDirectory) -> str | None:
    """
    The name of a model for a request that may name none that is here, or one that cannot: that, where it is one for
    which rules choose, or is not known to be unable; else the table's `fim_model`, or the first that can, or else the
    first that could when it last had a replica: it may only sleep. None: nobody.
    """
    if named is not None and table.find_auto(named) is not None:
        return named
    if named is not None and table.has_name(named):
        template = template_of(table.resolve(named), directory)
        if template is None or template.name != "none":
            return named
    asleep = (one.name for one in table.models if _can_fill_in(one, directory.last_of(*one.applications)))
    unable = named if named is not None and table.has_name(named) else None
    return first_to_fill_in_now(table, directory) or next(asleep, unable)


def first_to_fill_in_now(table: ModelTable, directory: ReplicaDirectory) -> str | None:
    """The table's `fim_model`, or the first that is known to be able by its settings or its replicas. None: nobody."""
    able = (one.name for one in table.models if _can_fill_in(one, directory.of(*one.applications)))
    return table.fim_model or next(able, None)


def _can_fill_in(model: Model, replicas: Iterable[Replica]) -> bool:
    """Whether that is known, by whichever marks: while a canary runs, its applications may differ in them."""
    own = set_template(model.fim)
    templates = [own] if own else [replica.template for replica in replicas]
    return bool(templates) and all(template.name not in ("none", "unknown") for template in templates)


def template_of(model: Model, directory: ReplicaDirectory) -> FimTemplate | None:
    """None where that is not known before a replica is picked."""
    replicas = directory.of(*model.applications)
    return set_template(model.fim) or _the_same(replica.template for replica in replicas)


def fill_in(call: Call, model: Model, directory: ReplicaDirectory) -> Call:
    """
    The call with a prompt for its model, and with a limit where it names none.

    Raises:
        UnsupportedParameter: the model cannot fill in, or not together with another field.
        InvalidRequest: the prompt is no text.
    """
    if call.route.path != _PATH:
        return call
    if not _has_suffix(call):
        return _limited(call, model) if fills_in(call.body) else call
    template = template_of(model, directory)
    return call if template is None else _filled(call, template, model)


def fill_in_for(replica: Replica, call: Call, model: Model) -> Call:
    """
    The same for one replica, where it has not been done before.

    Raises:
        UnsupportedParameter: as above.
        InvalidRequest: as above.
    """
    if call.route.path != _PATH or call.unfilled is not None or not _has_suffix(call):
        return call
    return _filled(call, set_template(model.fim) or replica.template, model)


def as_written(call: Call) -> Call:
    """The call with the client's own prompt again, for an engine of which nobody knew when it was made into one."""
    written = call.unfilled
    if written is None or not isinstance(written.get("suffix"), str):
        return call
    body = {name: value for name, value in call.body.items() if name not in _MADE}
    body |= {name: written[name] for name in _MADE if name in written}
    return replace(call, body=body, raw=encode_object(body), unfilled=None)


def _the_same(templates: Iterable[FimTemplate]) -> FimTemplate | None:
    found = set(templates)
    return found.pop() if len(found) == 1 else None


def _has_suffix(call: Call) -> bool:
    return call.route.path == _PATH and isinstance(call.body.get("suffix"), str)


def _filled(call: Call, template: FimTemplate, model: Model) -> Call:
    if call.body.get("echo"):
        raise UnsupportedParameter("`echo` is not possible with a `suffix`.", param="echo")
    has_own_marks = not call.body["suffix"] and has_marks(call.body["prompt"])
    if template.name == "none" or has_own_marks:
        return _without_suffix(call, model)
    call = _limited(call, model)
    if not template.has_marks:
        return _with_extra_before(call)
    body = {name: value for name, value in call.body.items() if name != "suffix"}
    body["prompt"] = _prompts(call, template)
    body["stop"] = _stops(call.body.get("stop"), template)
    if template.stop_token_ids and "stop_token_ids" not in body:
        body["stop_token_ids"] = list(template.stop_token_ids)
    return replace(call, body=body, raw=encode_object(body), unfilled=call.client_body)


def _without_suffix(call: Call, model: Model) -> Call:
    """An empty one asks for nothing that a model without marks could not do."""
    if call.body["suffix"]:
        raise UnsupportedParameter(
            f"The model {model.name!r} cannot fill in the middle of a text, so it takes no `suffix`.", param="suffix"
        )
    call = _limited(_with_extra_before(call), model)
    body = {name: value for name, value in call.body.items() if name != "suffix"}
    return replace(call, body=body, raw=encode_object(body), unfilled=call.client_body)


def _prompts(call: Call, template: FimTemplate) -> str | list[str]:
    prompt, behind = call.body["prompt"], str(call.body["suffix"])
    if isinstance(prompt, str):
        return template.prompt(prompt, behind, call.extra)
    texts = [each for each in prompt if isinstance(each, str)] if isinstance(prompt, list) else []
    if not isinstance(prompt, list) or len(texts) != len(prompt):
        raise InvalidRequest("`prompt` must be text where there is a `suffix`, not tokens.", param="prompt")
    return [template.prompt(each, behind, call.extra) for each in texts]


def _with_extra_before(call: Call) -> Call:
    """For an engine that is asked with both texts apart."""
    prompt = call.body["prompt"]
    if not call.extra or not isinstance(prompt, str):
        return call
    body = {**call.body, "prompt": plain_text(call.extra) + prompt}
    return replace(call, body=body, raw=encode_object(body), unfilled=call.client_body, extra=())


def _stops(asked: object, template: FimTemplate) -> list[str]:
    """The client's, and what ends an answer of this model: without these a base model goes on with another file."""
    own = [asked] if isinstance(asked, str) else asked if isinstance(asked, list) else []
    return list(dict.fromkeys([*own, *template.stop, *template.marks]))


def _limited(call: Call, model: Model) -> Call:
    """The call with a limit where it names none, or names it as Ollama does: so Twinny asks everybody."""
    if any(call.body.get(name) is not None for name in _LIMITS):
        return call
    options = call.body.get("options")
    wish = options.get("num_predict") if isinstance(options, dict) else None
    max_tokens = wish if isinstance(wish, int) and not isinstance(wish, bool) and wish > 0 else model.fim.max_tokens
    body = {**call.body, "max_tokens": max_tokens}
    return replace(call, body=body, raw=encode_object(body), unfilled=call.unfilled)
