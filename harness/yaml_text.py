"""YAML that others wrote: nothing is taken twice in silence, and no small file grows into a large one."""

from __future__ import annotations

import copy
import functools
from typing import Any

import yaml

LONGEST_TEXT = 4 << 20
MOST_NODES = 100_000
"""Keys, values and lists, those that aliases repeat counted each time; the largest file shipped has some hundreds."""
DEEPEST = 100
LONGEST_MESSAGE = 300


class YamlError(ValueError):
    """What is wrong with a text, in one line of bounded length."""


def parse_yaml(text: str) -> Any:
    """What a YAML text says.

    Raises:
        YamlError: it is not YAML, has a key twice in one mapping, is nested too deeply, or its aliases make it huge.
    """
    if len(text) > LONGEST_TEXT:
        raise YamlError(f"it is longer than {LONGEST_TEXT >> 20} MiB")
    return copy.deepcopy(_parsed(text))


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> Any:
    """A run reads its round's file several times."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise YamlError("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # ValueError: a date that there is not, a huge number
        raise YamlError(shortened(" ".join(str(error).split()))) from error
    finally:
        loader.dispose()


def shortened(text: str, length: int = LONGEST_MESSAGE) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else f"{text[:length]}…"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, to which a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in seen:
                    lines = f"in lines {seen[name]} and {line}" if seen[name] != line else f"in line {line}"
                    raise YamlError(f"the key {shortened(key.value, 60)!r} is there twice, {lines}")
                seen[name] = line
        return super().construct_mapping(node, deep)


def _count(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """How many nodes there are when every alias is replaced by what it stands for."""
    if depth > DEEPEST:
        raise YamlError("it is nested too deeply, or contains itself")
    if id(node) in known:
        return known[id(node)]
    children: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    total = 1 + sum(_count(child, known, depth + 1) for child in children)
    if total > MOST_NODES:
        raise YamlError(f"its aliases stand for more than {MOST_NODES} values")
    known[id(node)] = total
    return total
