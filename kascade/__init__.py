"""Kascade: physics-first MRI reconstruction, from raw k-space to the image.

The names that most users need, found lazily, so that `import kascade` does not wait for torch::

    import kascade as ka

    scan = ka.load("brain.h5")
    y = scan.kspace[0]
    maps = ka.espirit(y, acs=24)
    mask = ka.uniform_mask(y.shape[-1], accel=4, acs=24)
    E = ka.Encoding(maps, mask)
    x = ka.regularized_sense(E, mask * y, lam=5.0).image
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kascade.data import Scan, load, simulate_head, simulate_scan, write_reconstruction, write_scan
    from kascade.data.masks import uniform_mask
    from kascade.physics import Encoding, regularized_sense
    from kascade.physics.espirit import espirit
    from kascade.physics.rss import rss
    from kascade.recon import get_method, methods
    from kascade.unroll import UnrolledSENSE, as_prior, priors

__version__ = "0.1.0"
__all__ = [
    "Encoding",
    "Scan",
    "UnrolledSENSE",
    "__version__",
    "as_prior",
    "espirit",
    "get_method",
    "load",
    "methods",
    "priors",
    "regularized_sense",
    "rss",
    "simulate_head",
    "simulate_scan",
    "uniform_mask",
    "write_reconstruction",
    "write_scan",
]

_HOME = {
    "Encoding": "kascade.physics",
    "Scan": "kascade.data",
    "UnrolledSENSE": "kascade.unroll",
    "as_prior": "kascade.unroll",
    "espirit": "kascade.physics.espirit",
    "get_method": "kascade.recon",
    "load": "kascade.data",
    "methods": "kascade.recon",
    "priors": "kascade.unroll",
    "regularized_sense": "kascade.physics",
    "rss": "kascade.physics.rss",
    "simulate_head": "kascade.data",
    "simulate_scan": "kascade.data",
    "uniform_mask": "kascade.data.masks",
    "write_reconstruction": "kascade.data",
    "write_scan": "kascade.data",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'kascade' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOME))
