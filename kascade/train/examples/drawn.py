"""Lists of random examples that are the same every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from torch.utils.data import Dataset

__all__ = ["Drawn"]

E = TypeVar("E")


class Drawn(Dataset[E], Generic[E]):
    """A fixed list of examples: each is drawn, the same every time, from its number and `key`."""

    def __init__(self, draw: Callable[[np.random.Generator], E], key: tuple[int, ...], size: int) -> None:
        self.draw, self.key, self.size = draw, key, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> E:
        """Draw example `index`.

        Raises
        ------
        IndexError
            If there are not so many.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"example {index} of {self.size}")
        return self.draw(np.random.default_rng((*self.key, index)))
