"""The vector updates of conjugate gradients by kernels: three launches for each iteration, no word to the host."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from kascade.physics.kernels.launch import Kernel

__all__ = ["KernelUpdates"]

THREADS = 256
SAMPLES_OF_A_THREAD = 4
MOST_BLOCKS = 256  # for each item: their partial sums are added up by every block
CURVATURE, ADVANCE, DIRECTION = (
    Kernel(("complex", "cg"), name, THREADS) for name in ("curvature", "advance", "direction")
)


class KernelUpdates:
    """As `Updates` of `kascade.physics.solvers`, with which it shares its arguments and its attributes."""

    def __init__(self, x: Tensor, r: Tensor, shift: Tensor, limit: Tensor, r2: Tensor, active: Tensor) -> None:
        items, samples = r.shape
        self.x, self.r, self.shift, self.limit = (t.contiguous() for t in (x, r, shift, limit))
        self.p = self.r.clone()
        blocks = min(MOST_BLOCKS, ceil(samples / (THREADS * SAMPLES_OF_A_THREAD)))
        self.sizes = items, samples, blocks
        self.parts, self.parts_of_r = (r2.new_empty(items, blocks) for _ in range(2))
        # Two places each, which iterations read and write in turn.
        self._r2, self._active = torch.stack((r2, r2)), torch.stack((active, active)).to(torch.int32)
        self.iterations = torch.zeros(items, dtype=torch.int64, device=r.device)
        self.now = 0

    @property
    def r2(self) -> Tensor:
        """Squared norm of each residual."""
        return self._r2[self.now]

    @property
    def active(self) -> Tensor:
        """Which items go on."""
        return self._active[self.now] > 0

    def __call__(self, q: Tensor) -> None:
        """One iteration, with q = A p."""
        q = q.resolve_conj().contiguous()
        q = q.clone() if q.data_ptr() == self.p.data_ptr() else q  # it will be changed
        sizes, grid = (*self.sizes, self.now), self.sizes[0] * self.sizes[2]
        CURVATURE(grid, self.p, q, self.shift, self.parts, self._active, *sizes)
        ADVANCE(grid, self.x, self.r, self.p, q, self.parts, self.parts_of_r, self._r2, self._active, *sizes)
        DIRECTION(grid, self.p, self.r, self.parts_of_r, self._r2, self._active, self.iterations, self.limit, *sizes)
        self.now = 1 - self.now
