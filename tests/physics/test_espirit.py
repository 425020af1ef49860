"""ESPIRiT: known maps, two sets, SigPy's result on measured data, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kascade.errors import ConfigError, ShapeError
from kascade.physics import fft, ifft
from kascade.physics.espirit import espirit
from kascade.physics.rss import rss
from tests.battery import random_complex


def head_of_coils(coils: int = 4, n: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth unit-norm maps and a disc with a hole and a smooth phase."""
    r, c = torch.meshgrid(torch.linspace(-1, 1, n), torch.linspace(-1, 1, n), indexing="ij")
    angle = 2 * torch.pi * torch.arange(coils) / coils
    maps = torch.stack(
        [torch.exp(-((r - torch.cos(a)) ** 2 + (c - torch.sin(a)) ** 2) / 2 + 1j * a * c) for a in angle]
    )
    disc = ((r**2 + c**2 < 0.6) & ~((r - 0.2) ** 2 + c**2 < 0.03)) * torch.exp(1j * (r + 2 * c))
    return (maps / rss(maps)).to(torch.complex64), disc.to(torch.complex64)


def alignment(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """|a^H b| at each pixel."""
    return (a.conj() * b).sum(0).abs()


def test_known_maps_are_found_up_to_phase() -> None:
    maps, disc = head_of_coils()
    found = espirit(fft(maps * disc), 24)
    inside = disc.abs() > 0
    assert found.shape == maps.shape and found.dtype == torch.complex64
    torch.testing.assert_close(rss(found), torch.ones(48, 48))
    assert float(alignment(found, maps)[inside].min()) > 0.99


def test_only_the_calibration_region_is_looked_at() -> None:
    maps, disc = head_of_coils()
    kspace = fft(maps * disc)
    center = torch.zeros_like(kspace)
    center[:, 12:36, 12:36] = kspace[:, 12:36, 12:36]
    torch.testing.assert_close(espirit(center, (24, 24)), espirit(kspace, (24, 24)), rtol=1e-3, atol=1e-3)


def test_the_phase_is_that_of_a_virtual_coil_without_singularities() -> None:
    """The image phase is smooth: no jump between neighbors inside the object."""
    maps, disc = head_of_coils()
    image = (espirit(fft(maps * disc), 24).conj() * maps * disc).sum(0)
    inside = (disc.abs() > 0)[1:] & (disc.abs() > 0)[:-1]
    jumps = torch.angle(image[1:] * image[:-1].conj())[inside].abs()
    assert float(jumps.max()) < 0.5


def test_two_sets_explain_a_folded_object() -> None:
    """An object larger than the field of view: two sets hold what one set cannot."""
    maps, _ = head_of_coils(6, 96)
    r, c = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    disc = (r**2 + c**2 < 0.8).to(torch.complex64) * (1 + 0.5 * torch.cos(9 * r) * torch.cos(7 * c))
    folded = maps * disc
    wide = folded[:, :, 18:78].clone()
    wide[:, :, :18] += folded[:, :, 78:]
    wide[:, :, -18:] += folded[:, :, :18]
    kspace = fft(wide)

    def unexplained(sets: int) -> float:
        found = espirit(kspace, 24, sets=sets, crop=0.0).reshape(sets, 6, 96, 60)
        explained = torch.einsum("scij,sij->cij", found, torch.einsum("scij,cij->sij", found.conj(), wide))
        return float((wide - explained).norm() / wide.norm())

    assert unexplained(2) < 0.03 < unexplained(1)
    both = espirit(kspace, 24, sets=2, crop=0.0)
    gram = torch.einsum("scij,tcij->stij", both.conj(), both)
    torch.testing.assert_close(
        gram, torch.eye(2, dtype=gram.dtype)[:, :, None, None].expand_as(gram), rtol=0, atol=1e-4
    )


def test_soft_maps_fade_where_the_calibration_does_not_support_them() -> None:
    maps, disc = head_of_coils(4, 64)
    kspace = fft(maps * disc) + 0.02 * random_complex(4, 64, 64, dtype=torch.complex64)
    hard, soft = espirit(kspace, 24), espirit(kspace, 24, soft=True)
    weight = rss(soft)
    torch.testing.assert_close(soft, weight * hard, rtol=1e-4, atol=1e-5)
    inside = disc.abs() > 0
    assert float(weight[inside].mean()) > 0.9 > 2 * float(weight[:4].mean()) and float(weight.max()) <= 1 + 1e-5


def test_cropping_keeps_the_object_and_drops_the_rest() -> None:
    maps, disc = head_of_coils(4, 64)
    kspace = fft(maps * disc) + 0.02 * random_complex(4, 64, 64, dtype=torch.complex64)
    for crop in ("auto", 0.9):
        kept = rss(espirit(kspace, 24, crop=crop)) > 0.5
        inside = disc.abs() > 0
        assert float(kept[inside].float().mean()) > 0.97
        assert float(kept.float().mean()) < 0.85


def test_one_coil_and_no_signal() -> None:
    _, disc = head_of_coils()
    torch.testing.assert_close(espirit(fft(disc[None]), 24).abs(), torch.ones(1, 48, 48))
    assert not espirit(torch.zeros(3, 32, 32, dtype=torch.complex64), 16).any()
    assert espirit(torch.zeros(3, 32, 32, dtype=torch.complex64), 16, sets=2).shape == (2, 3, 32, 32)


def test_scale_does_not_matter() -> None:
    maps, disc = head_of_coils()
    inside = disc.abs() > 0
    small, plain = espirit(1e-8 * fft(maps * disc)), espirit(fft(maps * disc))
    torch.testing.assert_close(small[:, inside], plain[:, inside], rtol=1e-3, atol=1e-3)


def test_measured_brain_as_sigpy(real_data: Path) -> None:
    import sigpy.mri.app

    from kascade.data import load

    kspace = load(real_data / "kspace" / "full.cfl").kspace[0]
    theirs = sigpy.mri.app.EspiritCalib(kspace.numpy(), calib_width=24, crop=0, show_pbar=False).run()
    image = rss(ifft(kspace))
    head = image > 0.1 * float(image.max())
    same = alignment(espirit(kspace, (24, 24)), torch.from_numpy(np.asarray(theirs)))
    assert float((same[head] >= 0.99).float().mean()) >= 0.99


def test_bad_input() -> None:
    kspace = random_complex(3, 32, 32, dtype=torch.complex64)
    with pytest.raises(ShapeError, match=r"complex \(coil, rows, columns\)"):
        espirit(kspace[0])
    with pytest.raises(ConfigError, match="smaller than the kernel"):
        espirit(kspace, (24, 4))
    with pytest.raises(ConfigError, match="expected 1 to the number of coils, 3"):
        espirit(kspace, sets=4)
    with pytest.raises(ConfigError, match='expected a number from 0 to 1, "auto" or None'):
        espirit(kspace, crop="sharp")  # type: ignore[arg-type]
    undersampled = kspace * (torch.arange(32) % 2 == 0)
    with pytest.raises(ConfigError, match="kernel"):
        espirit(undersampled)
    with pytest.raises(ConfigError, match="not fully sampled"):
        espirit(undersampled, (24, 24))
    kspace[0, 16, 16] = float("nan")
    with pytest.raises(ConfigError, match="NaN or Inf"):
        espirit(kspace)
