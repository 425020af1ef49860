"""Centers of a generator's latents: what self-distilled truncation draws towards."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

from kascade.data.atomic import refuse_existing
from kascade.errors import ConfigError, FileFormatError, MissingExtraError
from kascade.nets.styleswin import StyleSwin
from kascade.recon.superres.weights import load_superres, save_superres

__all__ = ["center_latents", "latent_centers"]

SAMPLES = 60_000
_BATCH = 4096


@torch.no_grad()
def latent_centers(generator: StyleSwin, samples: int = SAMPLES, seed: int = 0) -> Tensor:
    """Cluster mapped latents by K-means, each feature scaled to unit variance.

    Parameters
    ----------
    generator : StyleSwin
        Whose mapping network is asked; its truncation says how many centers there are.
    samples : int
        How many latents are drawn.
    seed : int
        Of the latents and of K-means.

    Returns
    -------
    Tensor
        float32 (clusters, latent), for `generator.truncation.set_centers`.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    ConfigError
        If there are fewer samples than clusters.

    References
    ----------
    Mokady et al., Self-Distilled StyleGAN, SIGGRAPH 2022; Huang et al., TransMRSR, 2023, Sec. 4.3: 60,000 latents, 8
    centers.
    """
    try:
        from sklearn.cluster import KMeans
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "train", "clustering of latents") from error
    clusters = len(generator.truncation.centers)
    if samples < clusters:
        raise ConfigError(f"{samples} samples cannot make {clusters} clusters; expected some ten thousand")
    device = generator.truncation.centers.device
    source = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, samples, _BATCH):
        z = torch.randn(min(_BATCH, samples - start), generator.latent, generator=source)
        parts.append(generator.mapping(z.to(device)).cpu().numpy())
    latents = np.concatenate(parts)
    scaler = StandardScaler()
    means = KMeans(n_clusters=clusters, n_init=4, random_state=seed).fit(scaler.fit_transform(latents))
    return torch.from_numpy(scaler.inverse_transform(means.cluster_centers_).astype(np.float32))


def center_latents(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    samples: int = SAMPLES,
    seed: int = 0,
    force: bool = False,
) -> Tensor:
    """Write the generator of one file, with the centers of its latents, to another; the card tells how they came.

    Raises
    ------
    FileFormatError
        If `source` is absent, damaged or no generator.
    MissingExtraError, ConfigError
        As `latent_centers`.
    OutputError
        If the file exists (and not `force`) or cannot be written.
    """
    refuse_existing(path, force)
    found = load_superres(source)
    if not isinstance(found.model, StyleSwin):
        raise FileFormatError(f"{source}: a {found.config.kind} network; expected a generator (styleswin)")
    centers = latent_centers(found.model, samples, seed)
    found.model.truncation.set_centers(centers)
    card = {**found.card, "latents": {"samples": samples, "seed": seed}}
    save_superres(path, found.model, found.config, card, force=force)
    return centers
