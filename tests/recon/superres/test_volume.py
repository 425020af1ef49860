"""Whole volumes of thick slices: grids, networks, and consistency with what was measured."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kascade.data.nifti import Volume, read_volume
from kascade.data.simulation.thick import simulate_thick
from kascade.errors import ConfigError
from kascade.recon.superres import fine_grid, resimulation_error, super_resolve
from kascade.recon.superres.volume import LAM, make_consistent
from kascade.report import psnr


def volume(*shape: int, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
    """A smooth ball with texture, zero outside."""
    x, y, z = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = x**2 + y**2 + z**2 < 0.7
    data = inside * (2 + torch.sin(9 * x + 4 * z) + torch.cos(7 * y - 11 * z))
    affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([-5.0, 3.0, 8.0])
    return Volume(data.float(), affine, spacing, name="ball")


class Blur(nn.Module):
    """A network that spoils what it gets."""

    stride = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(x, 3, 1, 1)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_grid_of_the_truth_is_found_again(axis: str, factor: int) -> None:
    truth = volume(21, 22, 25)
    thick = simulate_thick(truth, factor, axis)
    fine = super_resolve(thick, factor, axis=axis, like=truth)
    assert fine.data.shape == truth.data.shape
    torch.testing.assert_close(fine.affine, truth.affine)
    assert resimulation_error(fine, thick, factor, axis) < 0.01
    cubic = super_resolve(thick, factor, axis=axis, like=truth, lam=None)
    assert psnr(fine.data, truth.data) > psnr(cubic.data, truth.data)


@pytest.mark.parametrize("factor", [3, 4])
def test_without_a_grid_the_field_of_view_is_covered(factor: int) -> None:
    thick = simulate_thick(volume(16, 17, 25), factor)
    grid = fine_grid(thick, factor)
    count = thick.data.shape[2]
    assert grid.shape == (16, 17, factor * count)
    edges = [grid.affine[2, 2] * p + grid.affine[2, 3] for p in (-0.5, grid.shape[2] - 0.5)]
    wanted = [thick.affine[2, 2] * p + thick.affine[2, 3] for p in (-0.5, count - 0.5)]
    moved = 0 if factor % 2 else 0.5
    assert [float(e - w) for e, w in zip(edges, wanted, strict=True)] == pytest.approx([moved, moved])
    fine = super_resolve(thick, factor)
    assert fine.spacing_mm == (1, 1, 1)
    assert resimulation_error(fine, thick, factor, "z") < 0.01


def test_the_slices_undo_what_a_network_spoils() -> None:
    truth = volume(24, 24, 41)
    thick = simulate_thick(truth, 4)
    spoilt, pulled = (super_resolve(thick, 4, network=Blur(), like=truth, lam=lam) for lam in (None, 20.0))
    assert resimulation_error(spoilt, thick, 4) > 0.02
    assert resimulation_error(pulled, thick, 4) < 0.01
    assert psnr(pulled.data, truth.data) > psnr(spoilt.data, truth.data)


def test_a_restored_volume_can_be_made_consistent_afterwards() -> None:
    truth = volume(21, 22, 25)
    thick = simulate_thick(truth, 4, "y")
    given, consistent = (super_resolve(thick, 4, network=Blur(), axis="y", like=truth, lam=lam) for lam in (None, LAM))
    found = make_consistent(given, thick, 4, axis="y", batch=5)
    torch.testing.assert_close(found.data, consistent.data, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.affine, consistent.affine)
    with pytest.raises(ConfigError):
        make_consistent(thick, thick, 4, axis="y")


def test_batches_tiles_and_amplitude_do_not_matter() -> None:
    truth = volume(40, 20, 24)
    thick = simulate_thick(truth, 2)
    one = super_resolve(thick, 2, network=nn.Identity(), like=truth, batch=1)
    network = nn.Identity()
    network.size = 16
    seen: list[tuple[int, int]] = []
    tiled = super_resolve(thick, 2, network=network, like=truth, batch=7, watch=lambda *n: seen.append(n))
    torch.testing.assert_close(tiled.data, one.data, atol=1e-4, rtol=1e-4)
    assert seen[-1] == (20, 20)
    loud = Volume(1e4 * thick.data, thick.affine, thick.spacing_mm)
    loud_out = super_resolve(loud, 2, network=Blur(), like=truth)
    quiet_out = super_resolve(thick, 2, network=Blur(), like=truth)
    torch.testing.assert_close(loud_out.data, 1e4 * quiet_out.data, rtol=1e-3, atol=1)


def test_an_empty_volume_stays_empty() -> None:
    empty = Volume(torch.zeros(8, 8, 4), torch.diag(torch.tensor([1.0, 1, 4, 1]).double()), (1.0, 1.0, 4.0))
    assert not super_resolve(empty, 4, network=Blur()).data.any()
    with pytest.raises(ConfigError, match="every voxel is 0"):
        resimulation_error(super_resolve(empty, 4), empty, 4)


def test_grids_that_do_not_match_are_refused() -> None:
    truth = volume(16, 17, 25)
    thick = simulate_thick(truth, 4)
    with pytest.raises(ConfigError, match="no grid 3 times as fine"):
        super_resolve(thick, 3, like=truth)
    with pytest.raises(ConfigError, match="no clear direction"):
        super_resolve(truth, 4)
    with pytest.raises(ConfigError, match="factor 1"):
        fine_grid(thick, 1)
    with pytest.raises(ConfigError, match="expected the same shape"):
        super_resolve(thick, 4, network=nn.AvgPool2d(2))


@pytest.mark.parametrize("factor", [4, 8])
def test_measured_brains_agree_with_their_slices(real_data, factor: int) -> None:
    whole = read_volume(real_data / "t1w" / "sub-01_T1w.nii.gz")
    part = whole.data[60:230, 140:172].contiguous()  # coronal images, all 181 voxels along z
    truth = Volume(part, torch.diag(torch.tensor([*whole.spacing_mm, 1.0], dtype=torch.float64)), whole.spacing_mm)
    thick = simulate_thick(truth, factor)
    cubic = super_resolve(thick, factor, like=truth, lam=None)
    pulled = super_resolve(thick, factor, like=truth)
    spoilt = super_resolve(thick, factor, network=Blur(), like=truth)
    assert thick.data.shape[2] == -(-181 // factor)
    for fine in (pulled, spoilt):
        assert resimulation_error(fine, thick, factor, "z") < 0.01
    assert psnr(pulled.data, truth.data) > psnr(cubic.data, truth.data)
