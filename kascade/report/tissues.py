"""Gray matter, white matter and CSF of a brain by gray value and neighborhood, and how far two such maps agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kascade.errors import ConfigError, ShapeError

__all__ = ["TISSUES", "dice_scores", "tissue_labels"]

TISSUES = ("csf", "gray", "white")
"""The tissues of labels 1, 2, 3; 0 is outside of the brain."""

_CONTRASTS = {"t1": (0, 1, 2), "t2": (2, 1, 0)}  # place of CSF, gray and white matter by rising gray value
_SMOOTHNESS = 0.5
_ROUNDS = 10
_BINS = 512

Array = NDArray[np.float32]
Labels = NDArray[np.uint8]


def tissue_labels(
    volume: ArrayLike, mask: ArrayLike, contrast: str = "t1", smoothness: float = _SMOOTHNESS, rounds: int = _ROUNDS
) -> Labels:
    """Label the tissues of a brain.

    Three Gaussian classes are fitted to the histogram within the mask by expectation maximization. A Potts prior then
    draws each voxel to the classes of its six neighbors: classes are mean-field probabilities, by which means and
    variances are estimated anew in every round (hidden Markov random field, as in FSL's FAST, but without its
    correction of shading).

    Parameters
    ----------
    volume : array
        Real (x, y, z).
    mask : array
        bool (x, y, z): the brain without its skull.
    contrast : {"t1", "t2"}
        Whether CSF is dark or bright.
    smoothness : float
        Log-odds that a neighbor of the same class adds; 0: no neighborhood.
    rounds : int
        Of the Markov random field.

    Returns
    -------
    array of uint8
        (x, y, z): 0 outside the mask, then CSF, gray and white matter.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ConfigError
        If the contrast is another, or the masked volume is not finite or has fewer than three gray values.

    References
    ----------
    Zhang, Brady and Smith, IEEE TMI 20:45 (2001).
    """
    x, inside = np.asarray(volume, dtype=np.float32), np.asarray(mask, dtype=bool)
    if x.shape != inside.shape or x.ndim != 3:
        raise ShapeError(f"tissue_labels: volume {x.shape}, mask {inside.shape}; expected two equal (x, y, z)")
    if contrast not in _CONTRASTS:
        raise ConfigError(f"contrast {contrast!r}: expected one of {', '.join(_CONTRASTS)}")
    values = x[inside]
    if len(np.unique(values[: 10**6])) < 3 or not np.isfinite(values).all():
        raise ConfigError("tissue_labels: expected a mask that holds finite voxels of more than two gray values")
    box = tuple(slice(max(int(n.min()) - 1, 0), int(n.max()) + 2) for n in np.nonzero(inside))
    mean, variance, share = _mixture(values)
    probability = _random_field(x[box], inside[box], mean, variance, share, smoothness, rounds)
    rank = np.argsort(_class_means(x[box], probability))  # classes may have changed places
    place = np.empty(3, dtype=np.uint8)
    place[rank[list(_CONTRASTS[contrast])]] = (1, 2, 3)
    labels = np.zeros(x.shape, dtype=np.uint8)
    labels[box] = np.where(inside[box], place[probability.argmax(0)], 0)
    return labels


def dice_scores(labels: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Dice coefficient of each tissue, 2 |A and B| / (|A| + |B|), and their mean.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    a, b = np.asarray(labels), np.asarray(truth)
    if a.shape != b.shape:
        raise ShapeError(f"dice_scores: labels are {a.shape}, those of the truth {b.shape}; expected equal shapes")
    scores = {}
    for number, name in enumerate(TISSUES, start=1):
        sizes = int((a == number).sum()) + int((b == number).sum())
        scores[name] = 2 * int(((a == number) & (b == number)).sum()) / sizes if sizes else 1.0
    return {**scores, "mean": sum(scores.values()) / len(scores)}


def _mixture(values: Array, rounds: int = 500) -> tuple[Array, Array, Array]:
    """Means, variances and shares of three Gaussians, fitted to a histogram from equal parts of its range."""
    low, high = np.quantile(values, (0.005, 0.995))
    counts, edges = np.histogram(np.clip(values, low, high), bins=_BINS, range=(low, max(high, low + 1e-6)))
    centers = ((edges[1:] + edges[:-1]) / 2)[None]
    floor = ((edges[1] - edges[0]) ** 2) / 12
    mean = low + (high - low) * np.array([0.2, 0.5, 0.8])[:, None]
    variance, share = np.full((3, 1), ((high - low) / 6) ** 2), np.full((3, 1), 1 / 3)
    for _ in range(rounds):
        weight = _posterior(-0.5 * ((centers - mean) ** 2 / variance + np.log(variance)) + np.log(share)) * counts
        total = weight.sum(1, keepdims=True) + 1e-9
        before = mean
        mean = (weight * centers).sum(1, keepdims=True) / total
        variance = (weight * (centers - mean) ** 2).sum(1, keepdims=True) / total + floor
        share = total / total.sum()
        if np.abs(mean - before).max() < 1e-5 * (high - low):
            break
    return mean[:, 0].astype(np.float32), variance[:, 0].astype(np.float32), share[:, 0].astype(np.float32)


def _random_field(
    x: Array, inside: NDArray[np.bool_], mean: Array, variance: Array, share: Array, smoothness: float, rounds: int
) -> Array:
    """Probabilities of the classes, (3, x, y, z), 0 outside."""
    floor = float(variance.min()) * 1e-3 + 1e-12
    probability = _likely(x, mean, variance, np.log(share)[:, None, None, None]) * inside
    for _ in range(rounds):
        probability = _likely(x, mean, variance, smoothness * _neighbors(probability)) * inside
        total = probability.sum((1, 2, 3)) + 1e-9
        mean = _class_means(x, probability)
        spread = [float((p * (x - m) ** 2).sum()) for p, m in zip(probability, mean, strict=True)]
        variance = (np.array(spread) / total).astype(np.float32) + floor
    return probability


def _likely(x: Array, mean: Array, variance: Array, prior: Array) -> Array:
    logs = [-0.5 * ((x - m) ** 2 / v + np.log(v)) for m, v in zip(mean, variance, strict=True)]
    out: Array = _posterior(np.stack(logs).astype(np.float32) + prior)
    return out


def _class_means(x: Array, probability: Array) -> Array:
    means = [float((p * x).sum() / (p.sum() + 1e-9)) for p in probability]
    return np.array(means, dtype=np.float32)


def _neighbors(probability: Array) -> Array:
    """Sum over the six neighbors; outside of the array there are none."""
    total = np.zeros_like(probability)
    for axis in (1, 2, 3):
        ahead: list[Any] = [slice(None)] * 4
        behind: list[Any] = [slice(None)] * 4
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        total[tuple(behind)] += probability[tuple(ahead)]
        total[tuple(ahead)] += probability[tuple(behind)]
    return total


def _posterior(logs: Any) -> Any:
    weight = np.exp(logs - logs.max(0, keepdims=True))
    return weight / weight.sum(0, keepdims=True)
