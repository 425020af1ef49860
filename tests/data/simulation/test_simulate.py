from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kascade.data.formats.fastmri_write import write_scan
from kascade.data.load import load
from kascade.data.nifti import read_volume, write_volume
from kascade.data.scan import Scan
from kascade.data.simulation.acquisition import combined_snr, image_support
from kascade.data.simulation.coils import coil_noise_covariance, loop_coil_maps
from kascade.data.simulation.phantom import head_phantom, head_volume
from kascade.data.simulation.simulate import simulate_head, simulate_scan, simulate_volume
from kascade.errors import ConfigError, FileFormatError, ShapeError
from kascade.physics.fourier import fft, ifft

HEAD = head_volume((2, 64, 48), fov_mm=(240, 180), slice_positions_mm=(4, 20))


def whitened_combination(scan: Scan, index: int, coil_images: Tensor) -> Tensor:
    """Whiten by the stored covariance, then combine by the true maps: the fully sampled SENSE image."""
    assert scan.noise_covariance is not None
    assert scan.maps is not None
    white = torch.linalg.inv(torch.linalg.cholesky(scan.noise_covariance))
    maps, images = (torch.einsum("ij,jrc->irc", white, a) for a in (scan.maps[index], coil_images))
    return (maps.conj() * images).sum(0) / (maps.abs() ** 2).sum(0)


def clean(**arguments: object) -> Scan:
    return simulate_scan(**{"images": HEAD, "fov_mm": (240, 180), **arguments, "snr": math.inf})  # type: ignore[arg-type]


def test_scan_holds_what_the_simulation_knows() -> None:
    scan = simulate_scan(HEAD, coils=6, fov_mm=(240, 180), slice_thickness_mm=16, name="mine", protocol="AXT1")
    assert repr(scan) == "Scan('mine', 2 slices, 6 coils, 64 x 48)"
    assert scan.kspace[0].dtype == torch.complex64
    assert scan.mask is None
    assert torch.equal(scan.target(1), HEAD[1])  # type: ignore[arg-type]
    assert scan.target_name == "reconstruction_rss"
    header = scan.header
    assert header.encoded_matrix == header.recon_matrix == (64, 48, 1)
    assert header.encoded_fov_mm == header.recon_fov_mm == (240, 180, 16)
    assert header.padding(48) == (0, 48)
    assert (header.protocol, header.coils) == ("AXT1", 6)
    assert scan.attributes["max"] == pytest.approx(HEAD.max().item())
    assert scan.attributes["norm"] == pytest.approx(HEAD.norm().item())


def test_without_noise_kspace_is_the_transform_of_maps_times_image() -> None:
    scan = clean(phase_rad=0.0)
    assert scan.maps is not None
    images = ifft(scan.kspace[1])
    expected = loop_coil_maps((64, 48), 8, (240, 180), slice_position_mm=2.5) * HEAD[1]
    torch.testing.assert_close(scan.maps[1], loop_coil_maps((64, 48), 8, (240, 180), slice_position_mm=2.5))
    turn = (images * expected.conj()).sum()
    torch.testing.assert_close(images * (turn.conj() / turn.abs()), expected, rtol=1e-4, atol=1e-5)
    assert scan.noise_covariance is None


def test_target_is_the_root_sum_of_squares_and_the_phase_is_smooth() -> None:
    scan = clean(phase_rad=1.0)
    images = ifft(scan.kspace[0])
    torch.testing.assert_close(images.abs().square().sum(0).sqrt(), HEAD[0], rtol=1e-4, atol=1e-5)
    combined = (scan.maps[0].conj() * images).sum(0)  # type: ignore[index]
    inside = HEAD[0] > 0.3
    pairs = inside[:, 1:] & inside[:, :-1]
    steps = (combined[:, 1:] * combined[:, :-1].conj()).angle()[pairs]
    assert steps.abs().max() < 0.6
    assert combined[inside].angle().std() > 0.2


@settings(deadline=None, max_examples=12)
@given(st.floats(3, 300), st.integers(1, 12), st.integers(0, 10**6), st.sampled_from([1.0, 1.5, 2.0]))
def test_snr_is_what_was_asked_for_when_measured(snr: float, coils: int, seed: int, oversampling: float) -> None:
    arguments = {"coils": coils, "seed": seed, "readout_oversampling": oversampling}
    noisy = simulate_scan(HEAD, fov_mm=(240, 180), snr=snr, **arguments).without_oversampling()  # type: ignore[arg-type]
    exact = clean(**arguments).without_oversampling()
    strongest = int(HEAD.sum((1, 2)).argmax())
    support = image_support(HEAD[strongest])
    noise = whitened_combination(noisy, strongest, ifft(noisy.kspace[strongest] - exact.kspace[strongest]))
    measured = HEAD[strongest][support].mean() / noise[support].abs().square().mean().sqrt()
    assert measured.item() == pytest.approx(snr, rel=6 / math.sqrt(2 * int(support.sum())))
    assert combined_snr(HEAD[strongest], noisy.maps[strongest], noisy.noise_covariance) == pytest.approx(snr, rel=1e-3)  # type: ignore


def test_noise_has_the_stored_covariance_is_white_over_kspace_and_new_in_each_slice() -> None:
    image = torch.zeros(3, 128, 128)
    image[:, 40:90, 40:90] = 1
    noisy, exact = (simulate_scan(image, coils=4, snr=snr) for snr in (10, math.inf))
    noise = torch.stack([noisy.kspace[i] - exact.kspace[i] for i in range(3)])
    samples = noise[0].reshape(4, -1)
    covariance = samples @ samples.mH / samples.shape[1]
    stored = noisy.noise_covariance
    assert stored is not None
    assert (covariance - stored).abs().max() < 0.04 * stored.abs().max()
    assert torch.equal(stored, stored.mH)
    shape = stored / stored.diagonal().real.mean()
    torch.testing.assert_close(shape, coil_noise_covariance(4), rtol=1e-4, atol=1e-5)
    pseudo = (samples @ samples.T / samples.shape[1]).abs().max()
    assert pseudo < 0.04 * stored.abs().max()  # circular: real and imaginary part are independent
    assert (noise[0] * noise[1].conj()).mean().abs() < 0.02 * stored.abs().max()
    neighbors = (noise[0][:, :, 1:] * noise[0][:, :, :-1].conj()).mean().abs()
    assert neighbors < 0.02 * stored.abs().max()


def test_given_covariance_is_used_up_to_its_scale() -> None:
    root = torch.tensor([[1, 0], [0.5j, 2]], dtype=torch.complex64)
    scan = simulate_scan(HEAD, coils=2, noise_covariance=root @ root.mH)
    assert scan.noise_covariance is not None
    ratio = scan.noise_covariance / (root @ root.mH)
    torch.testing.assert_close(ratio, ratio[0, 0].expand(2, 2))


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10**9))
def test_equal_seeds_give_equal_scans_whatever_the_order_of_reading(seed: int) -> None:
    first, second = (simulate_scan(HEAD[:, :16, :16], coils=2, seed=seed) for _ in range(2))
    last = second.kspace[1]
    assert torch.equal(first.kspace[0], second.kspace[0])
    assert torch.equal(first.kspace[1], last)
    assert torch.equal(pickle.loads(pickle.dumps(first)).kspace[1], last)
    other = simulate_scan(HEAD[:, :16, :16], coils=2, seed=seed + 1)
    assert not torch.equal(other.kspace[0], first.kspace[0])


@pytest.mark.parametrize("factor", [1.25, 1.5, 2, 3])
def test_readout_oversampling_is_undone_exactly(factor: float) -> None:
    scan, plain = clean(readout_oversampling=factor), clean()
    rows = int(64 * factor)
    assert scan.matrix == (rows, 48)
    assert scan.header.encoded_matrix == (rows, 48, 1)
    assert scan.header.encoded_fov_mm == pytest.approx((240 * factor, 180, 5))
    assert scan.header.recon_fov_mm == (240, 180, 5)
    assert scan.header.readout_oversampling == pytest.approx(factor)
    images = ifft(scan.kspace[0]).abs()
    outside = (rows - 64) // 2
    assert images[:, : outside - 1].max() < 1e-5
    reduced = scan.without_oversampling()
    torch.testing.assert_close(reduced.kspace[0], plain.kspace[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(reduced.maps[0], plain.maps[0])  # type: ignore[index]
    assert reduced.header == plain.header


def test_complex_images_keep_their_own_phase_and_one_slice_may_come_alone() -> None:
    own = torch.polar(HEAD[0], torch.linspace(0, 3, 48).expand(64, 48))
    both = [ifft(clean(images=image).kspace[0]) for image in (own, HEAD[0])]
    torch.testing.assert_close(
        both[0], both[1] * torch.polar(torch.ones(()), torch.linspace(0, 3, 48)), atol=1e-5, rtol=0
    )
    assert len(clean(images=HEAD[0].numpy().astype(np.float64))) == 1


class Counted:
    """Slices that count how often they are asked for."""

    shape = (5, 24, 24)
    reads = 0

    def __getitem__(self, index: int) -> Tensor:
        self.reads += 1
        return torch.full((24, 24), 1.0 + index)


def test_slices_are_computed_when_they_are_read() -> None:
    source = Counted()
    scan = simulate_scan(source, coils=2)
    after_survey = source.reads
    assert after_survey <= 6
    scan.kspace[3]
    assert source.reads == after_survey + 1


def test_head_is_the_phantom_with_its_positions() -> None:
    scan = simulate_head((2, 40, 32), contrast="t2", seed=5, fov_mm=(240, 200), coils=3, slice_positions_mm=(0, 8))
    assert scan.name == "head-5"
    assert scan.header.encoded_fov_mm == (240, 200, 8)
    expected = head_phantom((40, 32), contrast="t2", seed=5, fov_mm=(240, 200), slice_position_mm=8)
    assert torch.equal(scan.target(1), expected)  # type: ignore[arg-type]
    torch.testing.assert_close(scan.maps[1], loop_coil_maps((40, 32), 3, (240, 200), slice_position_mm=8))  # type: ignore[index]


def nifti(tmp_path: Path) -> tuple[Path, Tensor]:
    """Volume (x, y, z) = (right, anterior, superior) of 6 x 8 x 10 voxels of 2 x 3 x 4 mm."""
    path = tmp_path / "brain.nii.gz"
    data = torch.rand(6, 8, 10) + 0.1
    data[0, 0, 0] = -1
    write_volume(path, data, affine=np.diag([2.0, 3.0, 4.0, 1.0]))
    return path, data.clamp(min=0)


def test_volume_is_shown_as_radiologists_do(tmp_path: Path) -> None:
    path, data = nifti(tmp_path)
    axial = simulate_volume(path, slices="2:5", coils=2)
    assert axial.name == "brain"
    assert axial.header.encoded_fov_mm == pytest.approx((24, 12, 4))
    assert torch.equal(axial.target(0), read_volume(path).axial_slices()[2].clamp(min=0))  # type: ignore[arg-type]
    coronal = simulate_volume(path, orientation="coronal", slices=(1, 2), coils=2)
    assert coronal.header.encoded_fov_mm == pytest.approx((40, 12, 3))
    torch.testing.assert_close(coronal.target(0), data[:, 1].T.flip(0, 1))
    sagittal = simulate_volume(path, orientation="sagittal", slices="4:", coils=2)
    assert len(sagittal) == 2
    assert sagittal.header.encoded_fov_mm == pytest.approx((40, 24, 2))
    torch.testing.assert_close(sagittal.target(0), data[4].T.flip(0, 1))
    position = (4 - 2.5) * 2
    maps = loop_coil_maps((10, 8), 2, (40, 24), slice_position_mm=position, orientation="sagittal")
    torch.testing.assert_close(sagittal.maps[0], maps)  # type: ignore[index]


def test_written_scan_reads_back(tmp_path: Path) -> None:
    scan = simulate_head((2, 32, 32), coils=3, readout_oversampling=2)
    write_scan(scan, tmp_path / "sim.h5")
    back = load(tmp_path / "sim.h5")
    assert torch.equal(back.kspace[1], scan.kspace[1])
    assert torch.equal(back.target(1), scan.target(1))  # type: ignore[arg-type]
    assert back.header.encoded_matrix == scan.header.encoded_matrix
    assert back.header.readout_oversampling == 2
    assert back.attributes["max"] == pytest.approx(scan.attributes["max"])


BAD: list[tuple[dict[str, object], type[Exception], str]] = [
    ({"images": torch.zeros(2, 8, 8)}, ConfigError, "all zero"),
    ({"images": torch.full((1, 8, 8), float("nan"))}, ConfigError, "slice 0 holds NaN"),
    ({"images": torch.ones(1, 2, 8, 8)}, ShapeError, "slices, rows, columns"),
    ({"images": torch.ones(0, 8, 8)}, ShapeError, "none of them 0"),
    ({"coils": 0}, ConfigError, "coils 0"),
    ({"snr": 0.0}, ConfigError, "snr 0.0"),
    ({"snr": float("nan")}, ConfigError, "snr nan"),
    ({"seed": -1}, ConfigError, "seed -1"),
    ({"fov_mm": (0, 200)}, ConfigError, "fov_mm"),
    ({"phase_rad": float("inf")}, ConfigError, "phase_rad is inf"),
    ({"slice_thickness_mm": 0.0}, ConfigError, "slice_thickness_mm 0.0"),
    ({"slice_positions_mm": (1.0, 2.0)}, ShapeError, "2 entries for 1 slices"),
    ({"slice_positions_mm": (float("nan"),)}, ConfigError, "nan"),
    ({"orientation": "oblique"}, ConfigError, "axial, coronal, sagittal"),
    ({"readout_oversampling": 0.5}, ConfigError, "at least 1"),
    ({"readout_oversampling": 1.3}, ConfigError, "whole number of rows"),
    ({"noise_covariance": torch.eye(3)}, ShapeError, "expected \\(2, 2\\)"),
    ({"noise_covariance": torch.tensor([[1.0, 2.0], [2.0, 1.0]])}, ConfigError, "positive definite"),
    ({"noise_covariance": torch.tensor([[1.0, 0.5], [0.0, 1.0]])}, ConfigError, "Hermitian"),
    ({"noise_covariance": torch.full((2, 2), float("nan"))}, ConfigError, "Hermitian"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), BAD)
def test_bad_arguments_are_named(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        simulate_scan(**{"images": torch.ones(8, 8), "coils": 2, **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize("slices", ["5", "a:b", "3:3", "-1:4", "0:11", (2, 1), "1:2:3"])
def test_bad_slice_ranges_are_named(tmp_path: Path, slices: object) -> None:
    with pytest.raises(ConfigError, match="slices"):
        simulate_volume(nifti(tmp_path)[0], slices=slices)  # type: ignore[arg-type]


def test_other_bad_volumes_and_heads_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"none\.nii"):
        simulate_volume(tmp_path / "none.nii")
    with pytest.raises(ConfigError, match="axial, coronal, sagittal"):
        simulate_volume(nifti(tmp_path)[0], orientation="up")
    with pytest.raises(ShapeError, match="slices, rows, columns"):
        simulate_head((32, 32))
    with pytest.raises(ConfigError, match="reaches from"):
        simulate_head((1, 32, 32), slice_positions_mm=(99,))
    with pytest.raises(ConfigError, match="unknown contrast"):
        simulate_head((1, 32, 32), contrast="t9")


@pytest.mark.parametrize("file", ["t1w/sub-01_T1w.nii.gz", "multicontrast/patient01/T2W.nii.gz"])
def test_measured_volumes_become_scans(real_data: Path, file: str) -> None:
    volume = read_volume(real_data / file)
    middle = volume.data.shape[2] // 2
    scan = simulate_volume(real_data / file, slices=(middle, middle + 1), coils=4, snr=20)
    assert scan.header.spacing_mm == pytest.approx((volume.spacing_mm[1], volume.spacing_mm[0], volume.spacing_mm[2]))
    combined = whitened_combination(scan, 0, ifft(scan.kspace[0])).abs()
    target = scan.target(0)
    assert target is not None
    support = image_support(target)
    noise = (target[support].mean() / 20).item()
    assert (combined - target)[support].square().mean().sqrt().item() == pytest.approx(noise / 2**0.5, rel=0.05)
    assert fft(combined[None].to(torch.complex64)).isfinite().all()
