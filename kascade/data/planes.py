"""The slices that a volume is worked on in, and back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kascade.data.nifti import Volume

__all__ = ["SlicePlane", "slice_plane"]

_AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
_THICK = 1.5


@dataclass(frozen=True)
class SlicePlane:
    """How slices lie in a RAS+ volume.

    Attributes
    ----------
    name : str
        "axial", "coronal" or "sagittal".
    """

    name: str

    def slices(self, data: Tensor) -> Tensor:
        """Cut (x, y, z) into (slices, rows, columns), shown as radiologists do."""
        return data.permute(_AXES[self.name]).flip(1, 2)

    def volume(self, slices: Tensor) -> Tensor:
        """Undo `slices`."""
        order = _AXES[self.name]
        return slices.flip(1, 2).permute([order.index(axis) for axis in range(3)])

    def spacing_mm(self, volume: Volume) -> tuple[float, float, float]:
        """Distance of slices, rows and columns."""
        first, second, third = (volume.spacing_mm[axis] for axis in _AXES[self.name])
        return first, second, third


def slice_plane(volume: Volume) -> SlicePlane:
    """Plane in which a volume was measured: across its thick direction; axial where no voxel side is much longer."""
    axis = max(range(3), key=lambda n: volume.spacing_mm[n])
    others = [volume.spacing_mm[n] for n in range(3) if n != axis]
    if volume.spacing_mm[axis] < _THICK * max(others):
        return SlicePlane("axial")
    return SlicePlane({order[0]: name for name, order in _AXES.items()}[axis])
