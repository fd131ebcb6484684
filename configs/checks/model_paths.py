"""Translates pydantic's error locations into key paths, by walking the models."""

from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, Tag

from configs.finding import KeyPath


@dataclass(frozen=True, slots=True)
class ModelPath:
    path: KeyPath
    """pydantic's location without what is not in the file: tags of unions, and the mark of a mapping's key."""

    model: type[BaseModel] | None
    """The model that `path`'s last key belongs to; None within a free mapping or a list."""

    tags: tuple[str, ...]
    """Where `path` leads to a choice between models: what to choose from."""


def follow(model: type[BaseModel], location: tuple[str | int, ...]) -> ModelPath:
    annotation: object = model
    owner: type[BaseModel] | None = None
    path: list[str | int] = []
    for part in location:
        annotation = _unwrap(annotation)
        if part == "[key]":
            break
        if get_origin(annotation) in {Union, UnionType}:
            annotation = _member(annotation, part)
            continue
        path.append(part)
        owner = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
        annotation = _inside(annotation, part)
    choice = _unwrap(annotation)
    members = get_args(choice) if get_origin(choice) in {Union, UnionType} else ()
    return ModelPath(tuple(path), owner, tuple(str(tag) for each in members for tag in _tags(each)))


def _unwrap(annotation: object) -> object:
    """The annotation without `Annotated`, `| None` and root models."""
    if get_origin(annotation) is Annotated:
        return _unwrap(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        members = [each for each in get_args(annotation) if each is not type(None)]
        return _unwrap(members[0]) if len(members) == 1 else annotation
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, RootModel):
        return _unwrap(annotation.model_fields["root"].annotation)
    return annotation


def _inside(annotation: object, part: str | int) -> object:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else object
    if get_origin(annotation) in {tuple, list}:
        return get_args(annotation)[0]
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return object


def _member(union: object, tag: str | int) -> object:
    return next((each for each in get_args(union) if tag in _tags(each)), object)


def _tags(member: object) -> set[object]:
    if get_origin(member) is Annotated:
        return {each.tag for each in get_args(member)[1:] if isinstance(each, Tag)}
    if isinstance(member, type) and issubclass(member, BaseModel):
        annotations = [each.annotation for each in member.model_fields.values()]
        literals = [get_args(each) for each in annotations if get_origin(each) is Literal]
        return {values[0] for values in literals if len(values) == 1}  # more values are a setting, not a tag
    return set()
