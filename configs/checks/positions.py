"""YAML that remembers the line and column of every key and value."""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from configs.finding import KeyPath


@dataclass(frozen=True, slots=True)
class Position:
    line: int
    """From 1."""
    column: int
    """From 1."""


class YamlError(ValueError):
    """Text that is not one YAML document. Its message says what is wrong, `position` where."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file: `value`, and where each part of it was written."""

    value: object
    duplicates: tuple[tuple[KeyPath, Position, int], ...]
    """Keys that occur twice in one mapping: their path, the later one's position, the earlier one's line. YAML
    parsers keep the later value and say nothing."""
    _root: Node | None

    def position(self, path: KeyPath) -> Position:
        """Where the key or list entry at `path` begins; for a missing one, where its nearest parent does."""
        node, position = self._root, Position(1, 1)
        for key in path:
            found = _child(node, key)
            if found is None:
                break
            begin, node = found
            position = _begin(begin)
        return position


def parse_yaml(text: str) -> Document:
    """Raises: YamlError."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        duplicates = tuple(_duplicate_keys(root, (), set())) if root else ()
        # construct_document also merges `<<` keys into their mappings, which is what position() wants to see
        value = loader.construct_document(root) if root else None
    except yaml.MarkedYAMLError as error:
        raise _from_marked(error) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        message = f"the character #x{error.character:04x} is not allowed in YAML"
        raise YamlError(message, Position(before.count("\n") + 1, len(before) - before.rfind("\n"))) from error
    except RecursionError as error:
        raise YamlError("is nested too deeply", Position(1, 1)) from error
    return Document(value, duplicates, root)


_PLAIN_SENTENCES = {
    "expected <block end>": "the indentation does not fit the lines above",
    "found character '\\t'": "indent with blanks, not with tabs",
}
"""What PyYAML means by its most frequent messages."""


class _Loader(yaml.SafeLoader):
    """What Ray Serve reads its files with, except that every failure names its place."""

    def construct_object(self, node: Node, deep: bool = False) -> object:  # noqa: FBT001, FBT002 (PyYAML's signature)
        try:
            return super().construct_object(node, deep=deep)
        # The constructors of dates, numbers and explicit tags let whatever the conversion raises out.
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(None, None, f"this is not a valid {kind}", node.start_mark) from error


def _begin(node: Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _from_marked(error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    message = ", ".join(part for part in (error.context, error.problem) if part)
    plain = next((sentence for jargon, sentence in _PLAIN_SENTENCES.items() if jargon in message), message)
    return YamlError(plain, Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1))


def _child(node: Node | None, key: str | int) -> tuple[Node, Node] | None:
    """Where `key` begins within `node`, and its value."""
    if isinstance(node, SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key], node.value[key]
    if isinstance(node, MappingNode):
        for key_node, value_node in reversed(node.value):
            if isinstance(key_node, ScalarNode) and key_node.value == str(key):
                return key_node, value_node
    return None


def _duplicate_keys(node: Node, path: KeyPath, seen: set[int]) -> Iterator[tuple[KeyPath, Position, int]]:
    if id(node) in seen:  # an anchor that is used again, perhaps within itself
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for index, child in enumerate(node.value):
            yield from _duplicate_keys(child, (*path, index), seen)
    elif isinstance(node, MappingNode):
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                continue
            key = str(key_node.value)
            begin = _begin(key_node)
            if key in first_lines and key != "<<":
                yield (*path, key), begin, first_lines[key]
            first_lines.setdefault(key, begin.line)
            yield from _duplicate_keys(value_node, (*path, key), seen)
