"""The convolutions of VGG19, whose features losses compare; weights come from a file that the user has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["VGG19Features"]

_PLAN = (64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512)


class VGG19Features(nn.Module):
    """Outputs of layers of VGG19, numbered as in torchvision's `vgg19().features`.

    Parameters
    ----------
    weights : mapping
        torchvision's state dict; entries other than "features.N.weight" and "features.N.bias" are ignored.
    layers : sequence of int
        Whose outputs are wanted.

    Raises
    ------
    ValueError
        If the weights are not those of VGG19, or there is no such layer.

    References
    ----------
    Simonyan and Zisserman, ICLR 2015.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Mapping[str, Tensor], layers: Sequence[int]) -> None:
        super().__init__()
        stack = _layers()
        if not layers or not all(0 <= n < len(stack) for n in layers):
            raise ValueError(f"VGG19 has layers 0 to {len(stack) - 1}, asked for {list(layers)}")
        own = {name.removeprefix("features."): t for name, t in weights.items() if name.startswith("features.")}
        whole = nn.Sequential(*stack)
        try:
            whole.load_state_dict({name: own[name] for name in whole.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise ValueError("these are no weights of VGG19; expected torchvision's, features.0.weight ...") from error
        self.layers = tuple(layers)
        self.features = nn.Sequential(*stack[: max(layers) + 1]).eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Features, by layer, of gray images (batch, 1, rows, columns) between 0 and 1."""
        x = (image - self.mean) / self.deviation
        found = {}
        for n, layer in enumerate(self.features):
            x = layer(x)
            if n in self.layers:
                found[n] = x
        return found


def _layers() -> list[nn.Module]:
    stack: list[nn.Module] = []
    channels = 3
    for entry in _PLAN:
        if isinstance(entry, str):
            stack.append(nn.MaxPool2d(2))
            continue
        stack += [nn.Conv2d(channels, entry, 3, padding=1), nn.ReLU()]
        channels = entry
    return stack
