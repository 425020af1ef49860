"""What benchmarks find before they begin: recipes, methods by name, the data folder and its test volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from kascade.errors import ConfigError
from kascade.train.examples.config import NiftiSource

__all__ = ["chosen_methods", "data_folder", "held_out_files", "shipped_recipe"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


M = TypeVar("M", bound=_Named)


def shipped_recipe(name: str) -> Path:
    """Recipe of this name that comes with Kascade.

    Raises
    ------
    ConfigError
        If Kascade was installed without it.
    """
    path = Path(__file__).parents[2] / "recipes" / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"recipes/{name}.yaml came not with this installation; name a copy with --recipe")
    return path


def data_folder(folder: Path | None) -> Path:
    """The folder, once it is known to be there.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if folder is None or not folder.is_dir():
        raise ConfigError(
            f"{folder or 'no data'}: --data or $KASCADE_DATA must name the folder of the recipes' volumes"
        )
    return folder


def chosen_methods(names: Sequence[str], methods: Sequence[M]) -> tuple[M, ...]:
    """Those of `methods` that are named, in their own order; all where there are no names.

    Raises
    ------
    ConfigError
        If there is no such method.
    """
    known = [method.name for method in methods]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"method {unknown[0]!r}: expected one of {', '.join(known)}")
    return tuple(method for method in methods if not names or method.name in names)


def held_out_files(sources: Sequence[NiftiSource], data: Path) -> list[tuple[NiftiSource, Path]]:
    """Volumes that a recipe's sources name as `test`, each with its source.

    Raises
    ------
    ConfigError
        If there is none.
    """
    found = []
    for source in sources:
        place = data / source.folder
        for path in sorted(place.glob(source.files)):
            if any(text in path.relative_to(place).as_posix() for text in source.test):
                found.append((source, path))
    if not found:
        raise ConfigError("the recipe names no test volumes that are there (data.sources.test)")
    return found
