from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kascade.data.formats.fastmri_h5 import read
from kascade.data.header import Header
from kascade.data.scan import Scan
from kascade.errors import FileFormatError, ShapeError
from kascade.physics.fourier import ifft
from tests.data.h5_files import random_kspace, write_h5

OVERSAMPLED = Header((16, 12, 1), (8, 12, 1), (280.0, 168.0, 4.5), (140.0, 168.0, 4.5))


def full_scan(**more: object) -> Scan:
    """Three slices of four coils, with everything that a scan may hold."""
    parts: dict[str, object] = {
        "mask": torch.ones(12),
        "target": torch.rand(3, 8, 8),
        "maps": random_kspace(3, 4, 16, 12, seed=1),
        "header": OVERSAMPLED,
        "attributes": {"acquisition": "AXT2", "max": 1.0},
        "name": "brain",
        "shots": torch.arange(12) % 2,
        "motion": torch.rand(2, 3),
        "noise": random_kspace(4, 50, seed=2),
    }
    return Scan.from_arrays(random_kspace(3, 4, 16, 12), **{**parts, **more})  # type: ignore[arg-type]


def test_from_arrays() -> None:
    scan = full_scan()
    assert len(scan) == 3 and scan.coils == 4 and scan.matrix == (16, 12)
    assert scan.kspace.shape == (3, 4, 16, 12)
    assert torch.equal(scan.kspace[2], random_kspace(3, 4, 16, 12)[2])
    assert scan.maps is not None and torch.equal(scan.maps[1], random_kspace(3, 4, 16, 12, seed=1)[1])
    target = scan.target(-1)
    assert target is not None and target.dtype == torch.float32
    assert scan.target_name == "reconstruction_rss"
    assert repr(scan) == "Scan('brain', 3 slices, 4 coils, 16 x 12)"


def test_one_slice_needs_no_slice_axis_and_numpy_is_fine() -> None:
    kspace = random_kspace(1, 16, 12).to(torch.complex128).numpy()
    scan = Scan.from_arrays(kspace, mask=np.ones(12, bool), target=np.ones((8, 8)), maps=kspace)
    assert scan.kspace.shape == (1, 1, 16, 12) and scan.kspace[0].dtype == torch.complex64
    assert scan.mask is not None and scan.mask.dtype == torch.float32
    assert scan.target_name == "reconstruction_esc"
    assert scan.target(0) is not None and scan.maps is not None and scan.maps[0].shape == (1, 16, 12)


def test_what_is_not_given_is_none() -> None:
    scan = Scan.from_arrays(random_kspace(2, 16, 12))
    assert (scan.mask, scan.maps, scan.target(0), scan.shots, scan.motion, scan.noise, scan.path) == (None,) * 7
    assert scan.header == Header() and dict(scan.attributes) == {}


def test_maps_for_every_slice_and_of_two_sets() -> None:
    shared = random_kspace(4, 16, 12)
    scan = full_scan(maps=shared)
    assert scan.maps is not None and torch.equal(scan.maps[2], shared)
    two_sets = random_kspace(3, 2, 4, 16, 12)
    replaced = scan.with_maps(two_sets)
    assert replaced.maps is not None and torch.equal(replaced.maps[1], two_sets[1])
    assert torch.equal(scan.maps[0], shared)


def test_is_immutable() -> None:
    scan = full_scan()
    with pytest.raises(dataclasses.FrozenInstanceError):
        scan.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        scan.attributes["max"] = 2  # type: ignore[index]


def test_pickles_with_all_its_parts() -> None:
    scan = full_scan().undersample(torch.tensor([1.0, 0.0] * 6)).without_oversampling().slices(1, 3)
    copy = pickle.loads(pickle.dumps(scan))
    assert torch.equal(copy.kspace[1], scan.kspace[1])
    assert dict(copy.attributes) == dict(scan.attributes)
    with pytest.raises(TypeError):
        copy.attributes["max"] = 2


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("mask", torch.ones(11), r"mask has shape \(11,\), k-space has 16 rows and 12 columns; expected \(columns,\)"),
        ("mask", torch.ones(12, 16), r"mask has shape \(12, 16\)"),
        ("mask", torch.full((12,), float("nan")), "negative or not finite"),
        ("mask", -torch.ones(12), "negative or not finite"),
        ("maps", torch.ones(3, 16, 12), r"maps have shape \(3, 3, 16, 12\); expected \(slices, \[set,\] coil"),
        ("maps", torch.ones(2, 4, 16, 12), r"maps have shape \(2, 4, 16, 12\); .* = \(3, \[set,\] 4, 16, 12\)"),
        ("maps", torch.ones(3, 4, 12, 16), "maps have shape"),
        ("target", torch.ones(2, 8, 8), r"target has shape \(2, 8, 8\); expected \(slices, rows, columns\), 3 slices"),
        ("target", torch.ones(3, 1, 8, 8), "target has shape"),
        ("shots", torch.zeros(11), r"shots have shape \(11,\); expected one per column, \(12,\)"),
        ("shots", torch.full((12,), 2), "shot names shots 0 to 2, but motion has 2 rows; expected one for each"),
        ("shots", torch.zeros(12), "shot names shots 0 to 0, but motion has 2 rows"),
        ("shots", torch.full((12,), -2), "shot names shot -2; expected shots from 0, or -1"),
        ("motion", torch.zeros(2, 4), r"motion has shape \(2, 4\); expected \(shots, 3\) or \(shots, 6\)"),
        ("noise", torch.zeros(3, 50), r"noise has shape \(3, 50\); expected 4 coils first"),
        ("noise_covariance", torch.zeros(4, 5), r"noise_covariance has shape \(4, 5\); expected \(4, 4\)"),
        ("target_name", "reconstruction", "target_name is 'reconstruction'; expected one of"),
    ],
)
def test_parts_that_do_not_fit(part: str, value: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        full_scan(**{part: value})


@pytest.mark.parametrize(
    ("kspace", "message"),
    [
        (torch.zeros(4, 16, 12), "torch.float32 of shape .*; expected a complex array"),
        (torch.zeros(4, 16, 12, dtype=torch.int16), "torch.int16"),
        (torch.zeros(16, 12, dtype=torch.complex64), r"kspace has shape \(16, 12\)"),
        (torch.zeros(2, 0, 16, 12, dtype=torch.complex64), r"kspace has shape \(2, 0, 16, 12\); .* none of them 0"),
        (torch.zeros(1, 2, 3, 4, 5, dtype=torch.complex64), "kspace has shape"),
    ],
)
def test_arrays_that_are_no_k_space(kspace: Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Scan.from_arrays(kspace)


@pytest.mark.parametrize("part", ["motion", "noise"])
def test_small_parts_must_be_finite(part: str) -> None:
    value = torch.full((2, 3) if part == "motion" else (4, 5), float("inf"))
    with pytest.raises(FileFormatError, match=f"{part} of brain holds NaN or Inf"):
        full_scan(**{part: value})


def test_undersampling() -> None:
    scan = full_scan()
    mask = torch.tensor([1.0, 0.0, 0.0] * 4)
    first = scan.undersample(mask)
    assert torch.equal(first.kspace[1], scan.kspace[1] * mask)
    assert first.mask is not None and torch.equal(first.mask, mask)
    both = first.undersample(torch.arange(16)[:, None].expand(16, 12) < 8)
    assert both.mask is not None and both.mask.shape == (16, 12) and both.mask.sum() == 8 * 4
    assert (both.kspace[0][:, 8:] == 0).all()
    assert torch.equal(both.target(0), scan.target(0))  # type: ignore[arg-type]
    assert scan.mask is not None and scan.mask.sum() == 12


def test_zero_padded_columns_are_not_acquired() -> None:
    header = dataclasses.replace(OVERSAMPLED, phase_limits=(0, 4, 8))
    scan = full_scan(header=header)
    assert scan.mask is not None and scan.mask.tolist() == [0, 0] + [1] * 9 + [0]
    again = full_scan(header=header, mask=None).undersample(torch.ones(16, 12))
    assert again.mask is not None and torch.equal(again.mask, scan.mask.expand(16, 12))
    assert (again.kspace[0][..., [0, 1, 11]] == 0).all()


def test_mask_given_is_not_changed() -> None:
    mask = torch.ones(12)
    full_scan(header=dataclasses.replace(OVERSAMPLED, phase_limits=(0, 4, 8)), mask=mask)
    assert (mask == 1).all()


def test_undersampling_checks_the_mask() -> None:
    with pytest.raises(ShapeError, match=r"mask has shape \(13,\)"):
        full_scan().undersample(torch.ones(13))


def test_oversampling_is_removed_exactly() -> None:
    scan = full_scan()
    cut = scan.without_oversampling()
    assert cut.kspace.shape == (3, 4, 8, 12) and cut.matrix == (8, 12)
    torch.testing.assert_close(ifft(cut.kspace[1]), ifft(scan.kspace[1])[:, 4:12])
    assert cut.maps is not None and scan.maps is not None
    assert torch.equal(cut.maps[1], scan.maps[1][:, 4:12])
    assert cut.header.encoded_matrix == (8, 12, 1) and cut.header.encoded_fov_mm == (140, 168, 4.5)
    assert cut.header.spacing_mm == scan.header.spacing_mm
    assert cut.without_oversampling() is cut


def test_masking_and_cutting_commute() -> None:
    scan, mask = full_scan(), torch.tensor([1.0, 0.0, 0.0] * 4)
    one = scan.undersample(mask).without_oversampling()
    other = scan.without_oversampling().undersample(mask)
    torch.testing.assert_close(one.kspace[0], other.kspace[0])
    assert one.mask is not None and other.mask is not None and torch.equal(one.mask, other.mask)


def test_mask_constant_along_rows_does_not_hinder() -> None:
    mask = torch.tensor([1.0, 0.0, 0.0] * 4)
    cut = full_scan(mask=mask.expand(16, 12)).without_oversampling()
    assert cut.matrix == (8, 12) and cut.mask is not None and torch.equal(cut.mask, mask)


@pytest.mark.parametrize(
    "change",
    [
        {"header": Header()},
        {"header": dataclasses.replace(OVERSAMPLED, recon_fov_mm=(280.0, 168.0, 4.5))},
        {"header": dataclasses.replace(OVERSAMPLED, encoded_matrix=(32, 12, 1))},  # of another k-space
        {"header": dataclasses.replace(OVERSAMPLED, recon_fov_mm=(150.0, 168.0, 4.5))},  # 8.57 rows
        {"mask": torch.rand(16, 12) > 0.5},  # samples of the readout are missing
    ],
)
def test_what_cannot_be_cut_exactly_stays(change: dict[str, object]) -> None:
    scan = full_scan(**change)
    assert scan.without_oversampling() is scan


def test_slices() -> None:
    scan = full_scan()
    part = scan.slices(1, 3)
    assert len(part) == 2
    assert torch.equal(part.kspace[0], scan.kspace[1])
    assert torch.equal(part.target(1), scan.target(2))  # type: ignore[arg-type]
    assert part.maps is not None and scan.maps is not None and torch.equal(part.maps[1], scan.maps[2])


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (2, 2), (-1, 2), (3, 4)])
def test_slices_that_are_not_there(start: int, stop: int) -> None:
    with pytest.raises(ShapeError, match=f"slices {start}:{stop} of brain, which has 3: expected"):
        full_scan().slices(start, stop)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), coils=st.integers(1, 5))
def test_whitening_makes_the_noise_white(seed: int, coils: int) -> None:
    mixing = random_kspace(coils, coils, seed=seed) + 2 * torch.eye(coils)
    noise = mixing @ random_kspace(coils, 4000, seed=seed + 1)
    scan = Scan.from_arrays((mixing @ random_kspace(coils, 64 * 64, seed=seed + 2)).reshape(coils, 64, 64), noise=noise)
    covariance = torch.cov(scan.whitened(0).reshape(coils, -1))
    assert (covariance - torch.eye(coils)).abs().max() < 0.2
    known = dataclasses.replace(scan, noise=None, noise_covariance=mixing @ mixing.mH)
    assert (torch.cov(known.whitened(0).reshape(coils, -1)) - torch.eye(coils)).abs().max() < 0.2


def test_without_noise_whitened_is_raw() -> None:
    scan = full_scan(noise=None)
    assert torch.equal(scan.whitened(1), scan.kspace[1])


class SliceAndHandles(Dataset[tuple[Tensor, int]]):
    """A slice, and how many handles of the scan's file the process holds after it was read.

    Not of all files: tensors on their way to the loader hold some, more or fewer as the machine is busy.
    """

    def __init__(self, scan: Scan, path: Path) -> None:
        self.scan, self.path = scan, path.resolve()

    def __len__(self) -> int:
        return len(self.scan)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        item = self.scan.kspace[index]
        links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        return item, sum(link.resolve() == self.path for link in links if link.is_symlink())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc, which this system lacks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores is the point
def test_several_workers_read_the_right_slices_and_leak_no_handle(tmp_path: Path) -> None:
    kspace = random_kspace(24, 2, 8, 6)
    path = write_h5(tmp_path / "a.h5", kspace=kspace)
    scan = read(path)
    scan.kspace[0]  # reading before the fork must do no harm
    before = len(os.listdir("/proc/self/fd"))
    loader = DataLoader(
        SliceAndHandles(scan, path),
        batch_size=None,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context="fork",
    )
    handles = []
    for _ in range(2):
        for index, (item, open_files) in enumerate(loader):
            assert torch.equal(item, kspace[index])
            handles.append(int(open_files))
    assert max(handles[24:]) <= max(handles[:24])
    del loader
    for index in range(24):
        scan.kspace[index]
    assert len(os.listdir("/proc/self/fd")) <= before + 1
