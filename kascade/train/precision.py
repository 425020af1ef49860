"""Prior networks in bfloat16; Fourier transforms and solves stay in float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kascade.errors import ConfigError
from kascade.unroll import Prior

__all__ = ["MixedPrior", "use_bfloat16"]


class MixedPrior(Prior):
    """A prior whose network computes in bfloat16 where autocast allows; its weights stay float32, under equal names."""

    def _restore(self, channels: Tensor) -> Tensor:
        with torch.autocast(channels.device.type, dtype=torch.bfloat16):
            restored = super()._restore(channels)
        return restored.float()


def use_bfloat16(cascade: nn.Module) -> None:
    """Replace every `Prior` within a cascade by a `MixedPrior` of the same network.

    Raises
    ------
    ConfigError
        If there is none.
    """
    mixed: dict[Prior, MixedPrior] = {}  # a prior that iterations share stays shared
    for parent in list(cascade.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, Prior):
                if child not in mixed:
                    mixed[child] = MixedPrior(child.network, child.channels, child.size, child.stride)
                setattr(parent, name, mixed[child])
    if not mixed:
        raise ConfigError("training.precision bf16 is for cascades with a prior network; use float32")
