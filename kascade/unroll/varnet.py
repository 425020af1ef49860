"""E2E-VarNet by the fastmri package's own class, called as any cascade of Kascade; published weights load unchanged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kascade.errors import ConfigError, MissingExtraError
from kascade.physics import Encoding, LinearOperator
from kascade.unroll.cascade import CascadeOutput, Trace

__all__ = ["VarNet"]


class VarNet(nn.Module):
    """`fastmri.models.VarNet`: k_(t+1) = k_t - eta_t M (k_t - y) - E U_t(R k_t), with coil maps from a network.

    Its parameters have fastMRI's names: a state dict of `fastmri.models.VarNet` loads as it is.

    Parameters
    ----------
    iterations : int
        Number of cascades.
    chans, pools : int
        Features at full resolution and poolings of the U-Nets.
    sens_chans, sens_pools : int
        The same of the network that estimates coil maps from the central lines.

    Raises
    ------
    MissingExtraError
        If the fastmri package is not installed.

    Notes
    -----
    Of E only the mask is used: the maps come from the network. The image is a root sum of squares over coils, returned
    as complex numbers without phase. fastMRI pads images to multiples of 16, which allows four poolings.

    References
    ----------
    Sriram et al., End-to-End Variational Networks, MICCAI 2020. Defaults are the paper's.
    """

    def __init__(
        self, iterations: int = 12, chans: int = 18, pools: int = 4, sens_chans: int = 8, sens_pools: int = 4
    ) -> None:
        super().__init__()
        try:
            from fastmri.models import VarNet as FastMRIVarNet
        except ImportError as error:
            raise MissingExtraError("fastmri", "fastmri", "VarNet") from error
        network = FastMRIVarNet(iterations, sens_chans, sens_pools, chans, pools)
        self.sens_net: nn.Module = network.sens_net
        self.cascades: nn.ModuleList = network.cascades

    def forward(self, E: LinearOperator, y: Tensor, trace: bool = False) -> CascadeOutput:
        """Reconstruct.

        Parameters
        ----------
        E : Encoding
            Its mask must be 0 or 1 and the same for all rows and coils.
        y : Tensor
            k-space, complex (*batch, coil, rows, columns).
        trace : bool
            Record the image and the data residual after every cascade; there are no SENSE steps and no lambdas.

        Returns
        -------
        CascadeOutput
            The phase of the image is zero. Where E has map sets, the first one holds the image, the others are zero.

        Raises
        ------
        ConfigError
            If E is not an `Encoding` of slices, or its mask is another, or the central column was not acquired.
        """
        columns = _column_mask(E, y)
        if not bool(columns[..., columns.shape[-1] // 2].all()):
            raise ConfigError("VarNet estimates coil maps from the central columns of k-space, which are not acquired")
        batch = torch.broadcast_shapes(columns.shape[:-1], y.shape[:-3])
        y_items = y.expand(*batch, *y.shape[-3:]).reshape(-1, *y.shape[-3:])
        masks = columns.expand(*batch, columns.shape[-1]).reshape(-1, 1, 1, columns.shape[-1], 1)
        alive = (y_items != 0).flatten(1).any(1).nonzero().squeeze(1)  # fastMRI makes NaN of zeros
        record = Trace() if trace else None

        def whole(values: Tensor) -> Tensor:
            zeros = values.new_zeros(len(y_items), *values.shape[1:])
            return zeros.index_put((alive,), values).reshape((*batch, *values.shape[1:]))

        def finished(magnitude: Tensor) -> Tensor:
            image = whole(torch.complex(magnitude, torch.zeros_like(magnitude)))
            sets = getattr(E, "sets", None)
            return image if sets is None else nn.functional.pad(image.unsqueeze(-3), (0, 0, 0, 0, 0, sets - 1))

        mask = masks[alive]
        kspace = measured = torch.view_as_real(y_items[alive].contiguous()) * mask
        # Of a mask without gaps fastMRI would take one central line to estimate maps from.
        central = mask.shape[-2] if bool(mask.all()) else None
        maps = self.sens_net(measured, mask, central) if len(alive) > 0 else measured
        for cascade in self.cascades:
            kspace = cascade(kspace, measured, mask, maps) if len(alive) > 0 else measured
            if record is not None:
                record.z.append(finished(_magnitude(kspace)).detach())
                record.consistency.append(whole(_residual(kspace, measured, mask)).detach())
        return CascadeOutput(finished(_magnitude(kspace)), record)


def _column_mask(E: LinearOperator, y: Tensor) -> Tensor:
    """Acquired columns, bool (*batch, columns)."""
    if not isinstance(E, Encoding) or E.ndim != 2:
        raise ConfigError(f"VarNet needs an Encoding of slices, which has a mask of columns; got {E!r}")
    if E.mask is None:
        return torch.ones(y.shape[-1], dtype=torch.bool, device=y.device)
    mask = E.mask[(None,) * max(3 - E.mask.ndim, 0)]
    columns = mask[..., :1, :1, :]
    if bool((mask != columns).any()) or bool(((columns != 0) & (columns != 1)).any()):
        raise ConfigError("VarNet knows masks of whole columns only, 0 or 1 and the same for all rows and coils")
    return columns[..., 0, 0, :].expand(*columns.shape[:-3], y.shape[-1]) != 0


def _magnitude(kspace: Tensor) -> Tensor:
    """Root sum of squares over coils of the images, (item, rows, columns)."""
    import fastmri

    if len(kspace) == 0:  # MKL refuses
        return kspace.new_zeros(0, *kspace.shape[2:4])
    image: Tensor = fastmri.rss(fastmri.complex_abs(fastmri.ifft2c(kspace)), dim=1)
    return image


def _residual(kspace: Tensor, measured: Tensor, mask: Tensor) -> Tensor:
    """||M k - y|| / ||y||, (item,)."""
    misfit = ((kspace - measured) * mask).square().sum((1, 2, 3, 4))
    return (misfit / measured.square().sum((1, 2, 3, 4))).sqrt()
