"""YAML files whose errors name the line: syntax, keys given twice, and what pydantic has to say."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from kascade.errors import ConfigError

__all__ = ["Source", "parse_yaml"]

Key = int | str


@dataclass(frozen=True)
class Source:
    """A YAML document and where everything stands in it."""

    name: str
    content: Any
    root: yaml.Node

    def place(self, keys: Sequence[Key]) -> str:
        """``FILE:LINE`` of the innermost of nested `keys` that is there."""
        return f"{self.name}:{self._find(keys)[0]}"

    def complaint(self, error: ValidationError, model: type[BaseModel]) -> str:
        """The first of pydantic's errors in one line: file, line, key, what is wrong, what is allowed."""
        errors = error.errors()
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])  # a misspelt key is missing, too
        keys = first["loc"]
        line, found = self._find(keys)
        where = f"{self.name}:{line}"
        key = ".".join(str(part) for part in keys[:found])
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(_allowed_keys(model, keys[:-1]))
            return f"{where}: unknown key {key}; expected one of {allowed}"
        if first["type"] == "missing":
            inside = f" in {key}" if key else ""
            return f"{where}: the key {keys[-1]} is missing{inside}"
        same = [e for e in errors if e["loc"][:found] == keys[:found]]  # all members of a union have their say
        reasons = dict.fromkeys(e["msg"].removeprefix("Value error, ") for e in same)
        given = f" is {first['input']!r}" if found and not isinstance(first["input"], dict) else ""
        return f"{where}: {key or 'the recipe'}{given}: {'; '.join(reasons)}"

    def _find(self, keys: Sequence[Key]) -> tuple[int, int]:
        """Line of the innermost key that is there, and how many of `keys` are."""
        node, line, found = self.root, self.root.start_mark.line + 1, 0
        for depth, key in enumerate(keys, start=1):
            if isinstance(node, yaml.MappingNode):
                pairs = [(k, v) for k, v in node.value if k.value == str(key)]
                if not pairs:
                    continue  # the name of a member of a union
                line, node = pairs[-1][0].start_mark.line + 1, pairs[-1][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                break
            found = depth
        return line, found


def parse_yaml(text: str, name: str) -> Source:
    """Read one YAML document of plain values.

    Parameters
    ----------
    text : str
        The document.
    name : str
        The file's name, for errors.

    Raises
    ------
    ConfigError
        If the text is not YAML, is no mapping, or gives a key twice.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"{name}: expected keys and their values, such as 'name: brain'")
        _refuse_repeated(root, name)
        return Source(name, loader.construct_document(root), root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()


def _refuse_repeated(node: yaml.Node, name: str) -> None:
    """YAML itself would let the last one win."""
    children = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(
                    f"{name}:{line}: the key {key.value} is given a second time (first in line {seen[key.value]})"
                )
            seen[key.value] = line
            children.append(child)
    for child in children:
        _refuse_repeated(child, name)


def _allowed_keys(model: type[BaseModel], keys: Sequence[Key]) -> list[str]:
    """Keys that the mapping at the end of `keys` may have."""
    models = [model]
    for key in keys:
        fields = [m.model_fields[key] for m in models if isinstance(key, str) and key in m.model_fields]
        if fields:
            models = [m for field in fields for m in _models_in(field.annotation)]
        elif isinstance(key, str):  # a member of a union: its class, or the value that selects it
            models = [m for m in models if m.__name__ == key or _selected_by(m, key)] or models
    return list(dict.fromkeys(name for m in models for name in m.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in typing.get_args(annotation) for m in _models_in(part)]


def _selected_by(model: type[BaseModel], tag: str) -> bool:
    return any(tag in typing.get_args(field.annotation) for field in model.model_fields.values())
