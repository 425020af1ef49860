"""Restoration from unknown degradation: a classifier of degradations whose explanation guides an encoder-decoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kascade.nets.restormer import Restormer, RestormerEncoder

__all__ = ["CAG", "CLEAN_LABEL", "PSEUDO_LABEL", "DegradationClassifier", "cross_attention_gradient"]

PSEUDO_LABEL = (1.0, 1.0, 1.0, 0.0)
"""Motion, low resolution, noise, clean: what every image of unknown degradation is taken for."""

CLEAN_LABEL = (0.0, 0.0, 0.0, 1.0)
"""What a restored image should be taken for."""


class DegradationClassifier(nn.Module):
    """Restormer encoder, mean over the bottleneck's pixels, and one linear layer: which degradations an image shows.

    Parameters
    ----------
    in_channels : int
        Channels of the images.
    width, blocks, heads, expansion, norm_bias, bands
        As in `Restormer`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        width: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        heads: Sequence[int] = (1, 2, 4, 8),
        expansion: float = 2.66,
        norm_bias: bool = False,
        bands: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = RestormerEncoder(in_channels, width, blocks, heads, expansion, norm_bias, bands)
        self.stride = self.encoder.stride
        self.norm = nn.LayerNorm(8 * width)
        self.head = nn.Linear(8 * width, len(CLEAN_LABEL))

    def pooled(self, x: Tensor, inputs: list[Tensor] | None = None) -> Tensor:
        """What the linear layer sees of images, (batch, 8 width); `inputs` as in `RestormerEncoder`."""
        out: Tensor = self.norm(self.encoder(x, inputs)[-1].mean((-2, -1)))
        return out

    def forward(self, x: Tensor, inputs: list[Tensor] | None = None) -> Tensor:
        """Logits of motion, low resolution, noise and clean, (batch, 4), of (batch, channels, rows, columns)."""
        out: Tensor = self.head(self.pooled(x, inputs))
        return out


def cross_attention_gradient(
    classifier: DegradationClassifier,
    x: Tensor,
    labels: Tensor,
    drop: float = 0.9,
    times_input: bool = False,
    equal_layers: bool = True,
) -> Tensor:
    """Where in images a classifier sees the degradations of `labels`.

    The sum over blocks of drop_min(drop_neg(mean over heads(A_k G_k))): A_k is a block's attention, G_k the gradient,
    by its input, of the logits of the labels. Attention runs over channels here, so that each head mixes the gradients
    of its channels, and the mean is over heads and channels.

    Parameters
    ----------
    classifier : DegradationClassifier
    x : Tensor
        (batch, channels, rows, columns), multiples of the classifier's `stride`.
    labels : Tensor
        (batch, 4) or (4,).
    drop : float
        Part of the pixels of each layer's map, those with the smallest contributions, that is set to 0.
    times_input : bool
        Weigh gradients by the inputs that they belong to.
    equal_layers : bool
        Divide each layer's map by its largest value, so that no layer outweighs the others.

    Returns
    -------
    Tensor
        (batch, 1, rows, columns), 0 to 1, detached.

    References
    ----------
    Jiang et al., MICCAI 2024 (paper 2315), eq. 6.
    """
    attentions = [block.attention for block in classifier.encoder.blocks]
    with torch.inference_mode(False), torch.enable_grad():
        image = x.detach().clone().requires_grad_()
        inputs: list[Tensor] = []
        for attention in attentions:
            attention.keep_attention = True
        logits = classifier(image, inputs)
        gradients = torch.autograd.grad((logits * labels.detach().clone()).sum(), inputs)
    total = torch.zeros_like(x[:, :1])
    for attention, features, gradient in zip(attentions, inputs, gradients, strict=True):
        assert attention.attention is not None
        if times_input:
            gradient = gradient * features.detach()
        heads = gradient.unflatten(1, (attention.heads, -1)).flatten(3)
        contribution = (attention.attention @ heads).mean((1, 2)).unflatten(-1, features.shape[-2:])
        contribution = _without_smallest(contribution.clamp(min=0), drop)
        if equal_layers:
            contribution = _up_to_one(contribution)
        total = total + F.interpolate(contribution[:, None], size=x.shape[-2:], mode="bilinear", align_corners=False)
        attention.keep_attention, attention.attention = False, None
    return _up_to_one(total)


def _without_smallest(maps: Tensor, drop: float) -> Tensor:
    """Maps (batch, rows, columns) with all but the largest `1 - drop` of their pixels set to 0."""
    flat = maps.flatten(1)
    kept = max(1, int((1 - drop) * flat.shape[1] + 1e-6))
    values, places = flat.topk(kept, dim=1)
    return torch.zeros_like(flat).scatter(1, places, values).view_as(maps)


def _up_to_one(maps: Tensor) -> Tensor:
    return maps / maps.amax((-2, -1), keepdim=True).clamp(min=1e-12)


class CAG(nn.Module):
    """Degradation classifier, its cross-attention-gradient explanation, and a Restormer that is guided by it.

    The classifier is not trained by a loss: after each step of the cycle it follows the Restormer's encoder, see
    `follow`, and its linear layer stays as it is.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the images.
    width, blocks, refinement, heads, expansion, norm_bias, bands, kernel
        As in `Restormer`.
    explain : bool
        Guide the Restormer by the explanation; without, the classifier takes part in training only.
    drop, times_input, equal_layers
        As in `cross_attention_gradient`.

    References
    ----------
    Jiang et al., Explanation-driven Cyclic Learning for High-Quality Brain MRI Reconstruction from Unknown Degradation,
    MICCAI 2024. Defaults are the paper's size.
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 2,
        width: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        refinement: int = 4,
        heads: Sequence[int] = (1, 2, 4, 8),
        expansion: float = 2.66,
        norm_bias: bool = False,
        explain: bool = True,
        drop: float = 0.9,
        times_input: bool = False,
        equal_layers: bool = True,
        bands: bool = False,
        kernel: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= drop < 1:
            raise ValueError(f"drop must be at least 0 and below 1, got {drop}")
        self.explain, self.drop, self.times_input, self.equal_layers = explain, drop, times_input, equal_layers
        self.classifier = DegradationClassifier(in_channels, width, blocks, heads, expansion, norm_bias, bands)
        self.stride = self.classifier.stride
        self.classifier.requires_grad_(False)
        self.restorer = Restormer(
            in_channels, out_channels, width, blocks, refinement, heads, expansion, norm_bias, explain, bands, kernel
        )

    def explanation(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Where the degradations of `labels`, by default the pseudo-label, show: see `cross_attention_gradient`."""
        if labels is None:
            labels = x.new_tensor(PSEUDO_LABEL)
        return cross_attention_gradient(self.classifier, x, labels, self.drop, self.times_input, self.equal_layers)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Restore (batch, channels, rows, columns), multiples of `stride`; `labels` (batch, 4) where they are known."""
        out: Tensor = self.restorer(x, self.explanation(x, labels) if self.explain else None)
        return out

    @torch.no_grad()
    def start_from(self, classifier: DegradationClassifier) -> None:
        """Take the weights of a trained classifier, of the same sizes, for the classifier and the encoder."""
        self.classifier.load_state_dict(classifier.state_dict())
        self.restorer.encoder.load_state_dict(classifier.encoder.state_dict())

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the classifier's encoder towards the Restormer's: theta_C <- m theta_C + (1 - m) theta_R."""
        pairs = zip(self.classifier.encoder.parameters(), self.restorer.encoder.parameters(), strict=True)
        for ours, theirs in pairs:
            ours.lerp_(theirs, 1 - momentum)
