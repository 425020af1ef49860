"""Content and style losses on the features of a network that was trained for something else."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.errors import ConfigError, FileFormatError
from kascade.nets.cag import DegradationClassifier
from kascade.nets.vgg19 import VGG19Features

__all__ = ["FeatureConfig", "FeatureLoss", "feature_network", "gram"]

BRIGHT = 2.0
"""Bright tissue in images whose head's box has an RMS of 1, about: what feature networks see as 1."""

VGG_CONTENT = (2, 4, 7, 10)
VGG_STYLE = (1, 3, 5, 9, 13)
LEVELS = (0, 1, 2, 3)


class FeatureConfig(BaseModel):
    """The network whose features are compared.

    Attributes
    ----------
    network : str
        "vgg19" (trained on photographs; the paper's), or "classifier" (of degradations, trained on brains here).
    file : str
        Its weights: torchvision's VGG19 as .pth or .safetensors, or a classifier that `kascade train` wrote. Looked up
        from where the training is started.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["vgg19", "classifier"]
    file: str


class ClassifierFeatures(nn.Module):
    """Features of the degradation classifier's encoder, by level."""

    def __init__(self, classifier: DegradationClassifier) -> None:
        super().__init__()
        self.encoder = classifier.encoder.requires_grad_(False)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Features of gray images (batch, 1, rows, columns) between 0 and 1, of a size that the classifier can take."""
        seen = (2 * image - 1).expand(-1, 3, -1, -1)
        return dict(enumerate(self.encoder(seen)))


class FeatureLoss(nn.Module):
    """Content loss, the squared error of features, and style loss, that of their Gram matrices.

    Parameters
    ----------
    network : nn.Module
        Maps gray images between 0 and 1 to features by layer.
    content, style : sequence of int
        Layers of either loss.

    References
    ----------
    Johnson et al., ECCV 2016; Gatys et al., CVPR 2016; Huang et al., TransMRSR, 2023, Eqs. 13 and 14.
    """

    def __init__(self, network: nn.Module, content: tuple[int, ...], style: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.content, self.style = network.eval(), content, style

    def forward(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Content and style loss, each summed over layers, of (batch, 1, rows, columns) scaled by the head's RMS."""
        found = self.network(image / BRIGHT)
        with torch.no_grad():
            wanted = self.network(target / BRIGHT)
        content = torch.stack([F.mse_loss(found[n], wanted[n]) for n in self.content]).sum()
        style = torch.stack([F.mse_loss(gram(found[n]), gram(wanted[n])) for n in self.style]).sum()
        return content, style


def gram(features: Tensor) -> Tensor:
    """Products of channels, averaged over all entries: (batch, c, rows, columns) to (batch, c, c)."""
    flat = features.flatten(2)
    return flat @ flat.mT / (flat.shape[1] * flat.shape[2])


def feature_network(config: FeatureConfig, size: int) -> FeatureLoss:
    """Load the network and set up its losses on images of `size` x `size`.

    Raises
    ------
    FileFormatError
        If the file is absent or damaged.
    ConfigError
        If it holds another network, or one that takes no images of this size.
    """
    path = Path(config.file)
    if config.network == "classifier":
        from kascade.recon.restoration import load_restorer

        classifier = load_restorer(path).model
        if not isinstance(classifier, DegradationClassifier):
            raise ConfigError(f"loss.features: {path} is no degradation classifier; train recipes/cag-classifier.yaml")
        if size % classifier.stride:
            raise ConfigError(
                f"loss.features: {path} takes images in multiples of {classifier.stride} px; data.size is {size}"
            )
        return FeatureLoss(ClassifierFeatures(classifier), LEVELS[:3], LEVELS)
    layers = tuple(sorted({*VGG_CONTENT, *VGG_STYLE}))
    try:
        return FeatureLoss(VGG19Features(_tensors(path), layers), VGG_CONTENT, VGG_STYLE)
    except ValueError as error:
        raise ConfigError(f"loss.features: {path}: {error}") from error


def _tensors(path: Path) -> dict[str, Tensor]:
    """State dict of a .safetensors or .pth file."""
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file; expected torchvision's weights of VGG19")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # neither library has an error of its own for what is not its file
        reason = " ".join(str(error).split())[:150]
        raise FileFormatError(f"{path}: no weights can be read ({type(error).__name__}: {reason})") from error
    if not isinstance(state, dict):
        raise FileFormatError(f"{path}: holds {type(state).__name__}; expected a state dict")
    return {str(name): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
