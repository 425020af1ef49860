"""How many bytes of tensors a computation holds at its peak: on a GPU as its allocator says, on the CPU counted."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["peak_tensor_bytes"]


def peak_tensor_bytes(call: Callable[[], object], device: str = "cpu") -> int:
    """Largest number of bytes in tensors that `call` made and that are alive at one time.

    Parameters
    ----------
    call : callable
        What is observed; its backward passes too. Tensors that were there before do not count.
    device : {"cpu", "cuda"}
        On "cuda" this is what torch's allocator says; on the CPU, which has none that counts, the results of all
        operations are followed until they are freed. Scratch memory inside one operation is seen on "cuda" only.

    Returns
    -------
    int
    """
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated() - before)
    counter = _Counter()
    with counter:
        call()
    return counter.peak


class _Counter(TorchDispatchMode):
    """Follows the storages that operations return until they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation, note what it was given as old and what it made as new."""
        self._note((args, kwargs), counts=False)
        out = func(*args, **(kwargs or {}))
        self._note(out, counts=True)
        return out

    def _note(self, values: object, counts: bool) -> None:
        for tensor in tree_leaves(values):
            if not isinstance(tensor, Tensor):
                continue
            storage = tensor.untyped_storage()
            key: int = storage._cdata  # of the memory itself, which views share
            if key in self._known:
                continue
            self._known.add(key)
            size = storage.nbytes() if counts else 0
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size
