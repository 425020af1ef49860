from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kascade.data.formats.fastmri_h5 import read, read_images
from kascade.data.formats.fastmri_write import write_maps, write_reconstruction, write_scan
from kascade.data.header import Header
from kascade.data.scan import Scan
from kascade.errors import ConfigError, FileFormatError, OutputError, ShapeError
from tests.data.h5_files import random_kspace

HEADER = Header((16, 12, 1), (8, 8, 1), (280.0, 168.0, 4.5), (140.0, 140.0, 4.5), (0, 5, 9), "AXT2", (27.0,), coils=3)


def scan_with(**more: Any) -> Scan:
    kspace = more.pop("kspace", random_kspace(4, 3, 16, 12))
    return Scan.from_arrays(kspace, **{"header": HEADER, "name": "brain", **more})


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    scan = scan_with(
        mask=torch.ones(12),
        target=torch.rand(4, 8, 8) - 0.5,
        maps=random_kspace(4, 2, 3, 16, 12),
        attributes={"acquisition": "AXFLAIR", "patient_id": "7", "odd": [1.5, 2.0]},
        shots=torch.arange(12) % 3,
        motion=torch.rand(3, 3),
        noise=random_kspace(3, 40),
        noise_covariance=torch.eye(3),
    )
    write_scan(scan, tmp_path / "b.h5")
    assert os.listdir(tmp_path) == ["b.h5"]
    again = read(tmp_path / "b.h5")
    for index in range(4):
        assert torch.equal(again.kspace[index], scan.kspace[index])
        assert torch.equal(again.target(index), scan.target(index))  # type: ignore[arg-type]
        assert torch.equal(again.maps[index], scan.maps[index])  # type: ignore[index]
    for name in ("mask", "shots", "motion", "noise", "noise_covariance"):
        assert torch.equal(getattr(again, name), getattr(scan, name)), name
    assert again.header == scan.header
    assert scan.targets is not None
    volume = torch.stack(list(scan.targets))
    assert again.attributes == {
        **scan.attributes,
        "max": pytest.approx(float(volume.max())),
        "norm": pytest.approx(float(volume.norm())),
    }


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.tuples(*[st.integers(1, 4)] * 4), with_target=st.booleans(), with_mask=st.booleans())
def test_any_shape_survives(
    tmp_path: Path, shape: tuple[int, int, int, int], with_target: bool, with_mask: bool
) -> None:
    scan = Scan.from_arrays(
        random_kspace(*shape),
        target=torch.rand(shape[0], 3, 2) if with_target else None,
        mask=torch.ones(shape[-1]) if with_mask else None,
    )
    write_scan(scan, tmp_path / "any.h5", force=True)
    again = read(tmp_path / "any.h5")
    assert again.kspace.shape == shape and (again.targets is not None) == with_target
    assert all(torch.equal(one, other) for one, other in zip(again.kspace, scan.kspace, strict=True))
    assert (again.mask is None) == (not with_mask)


def test_one_coil_is_stored_as_fastmri_does(tmp_path: Path) -> None:
    write_scan(scan_with(kspace=random_kspace(4, 1, 16, 12), target=torch.rand(4, 8, 8)), tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["kspace"].shape == (4, 16, 12) and "reconstruction_esc" in file


def test_masks_by_their_rank(tmp_path: Path) -> None:
    write_scan(scan_with(mask=torch.ones(12)), tmp_path / "a.h5")
    write_scan(scan_with(mask=torch.ones(16, 12)), tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5") as one, h5py.File(tmp_path / "b.h5") as two:
        assert one["mask"].shape == (12,) and "kascade_mask" not in one
        assert two["kascade_mask"].shape == (16, 12) and "mask" not in two


def test_views_are_written_as_they_read(tmp_path: Path) -> None:
    view = scan_with().undersample(torch.tensor([1.0, 0] * 6)).without_oversampling().slices(1, 3)
    write_scan(view, tmp_path / "v.h5")
    again = read(tmp_path / "v.h5")
    assert again.kspace.shape == (2, 3, 8, 12) and torch.equal(again.kspace[1], view.kspace[1])
    assert again.header.readout_oversampling == 1 and again.without_oversampling() is again


class OneAtATime:
    """k-space that knows how many of its slices are alive."""

    shape = (12, 2, 8, 8)

    def __init__(self) -> None:
        self.alive: list[weakref.ref[Tensor]] = []
        self.most = 0

    def __getitem__(self, index: int) -> Tensor:
        item = random_kspace(2, 8, 8, seed=index)
        self.alive.append(weakref.ref(item))
        self.most = max(self.most, sum(ref() is not None for ref in self.alive))
        return item


def test_a_scan_is_streamed(tmp_path: Path) -> None:
    source = OneAtATime()
    write_scan(Scan.from_source(source, name="x"), tmp_path / "x.h5")
    assert len(source.alive) == 12 and source.most <= 2


def test_a_reconstruction_is_streamed(tmp_path: Path) -> None:
    source = OneAtATime()
    write_reconstruction(tmp_path / "x.h5", (source[index][0] for index in range(12)))
    assert read_images(tmp_path / "x.h5").shape == (12, 8, 8)
    assert source.most <= 2


def test_existing_output_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "b.h5"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"b\.h5: exists already"):
        write_scan(scan_with(), path)
    with pytest.raises(OutputError, match=r"b\.h5: exists already"):
        write_reconstruction(path, torch.rand(1, 2, 2))
    assert path.read_bytes() == b"precious"
    write_scan(scan_with(), path, force=True)
    assert len(read(path)) == 4


def test_a_file_can_be_replaced_by_its_own_view(tmp_path: Path) -> None:
    path = tmp_path / "b.h5"
    write_scan(scan_with(), path)
    write_scan(read(path).slices(0, 2), path, force=True)
    assert len(read(path)) == 2


def test_a_bad_slice_leaves_nothing(tmp_path: Path) -> None:
    kspace = random_kspace(4, 3, 16, 12)
    kspace[2, 0, 0, 0] = float("nan")
    with pytest.raises(FileFormatError, match="slice 2 holds 1 NaN"):
        write_scan(scan_with(kspace=kspace), tmp_path / "b.h5")
    assert os.listdir(tmp_path) == []


def test_attribute_that_cannot_be_stored(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="attribute 'odd' is a object, which HDF5 cannot store"):
        write_scan(scan_with(attributes={"odd": object()}), tmp_path / "b.h5")
    assert os.listdir(tmp_path) == []


def test_disk_full_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = h5py.Dataset.__setitem__

    def full(self: h5py.Dataset, index: Any, value: Any) -> None:
        if index == 2:
            raise OSError(28, "Can't write data (No space left on device)")
        write(self, index, value)

    monkeypatch.setattr(h5py.Dataset, "__setitem__", full)
    for attempt in (
        lambda: write_scan(scan_with(), tmp_path / "b.h5"),
        lambda: write_reconstruction(tmp_path / "b.h5", torch.rand(4, 3, 3)),
    ):
        with pytest.raises(OutputError, match=r"b\.h5: cannot be written \(the disk is full\); nothing was left"):
            attempt()
        assert os.listdir(tmp_path) == []


FULL_DISK = """
import resource, signal, sys, torch
from kascade.data.formats.fastmri_write import write_scan
from kascade.data.scan import Scan
from kascade.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_scan(Scan.from_arrays(torch.ones(8, 4, 64, 64, dtype=torch.complex64)), sys.argv[1])
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs file size limits (POSIX)")
def test_a_real_limit_of_the_system(tmp_path: Path) -> None:
    """HDF5 itself fails, first to write, then to close: no crash, one line, nothing left."""
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path / "b.h5"), "200000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path}/b.h5: cannot be written (") and done.stdout.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_reconstruction_as_submitted_to_fastmri(tmp_path: Path) -> None:
    images = random_kspace(3, 5, 4).requires_grad_()
    write_reconstruction(tmp_path / "r.h5", images, attributes={"method": "sense", "lam": 5.0})
    with h5py.File(tmp_path / "r.h5") as file:
        assert list(file) == ["reconstruction"] and dict(file.attrs) == {"method": "sense", "lam": 5.0}
        assert file["reconstruction"].dtype == np.float32
        np.testing.assert_allclose(file["reconstruction"], images.detach().abs().numpy())


def test_complex_reconstruction(tmp_path: Path) -> None:
    images = random_kspace(3, 5, 4)
    write_reconstruction(tmp_path / "r.h5", iter(images), complex_values=True)
    again = read_images(tmp_path / "r.h5")
    assert torch.equal(torch.stack(list(again)), images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "reconstruction: no slice was given"),
        ([torch.rand(3)], r"a slice has shape \(3,\); expected 2 axes"),
        ([torch.rand(3, 0)], r"a slice has shape \(3, 0\)"),
        ([torch.rand(3, 2), torch.rand(2, 3)], r"slice 1 has shape \(2, 3\), those before have \(3, 2\)"),
    ],
)
def test_images_that_make_no_volume(tmp_path: Path, images: list[Tensor], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        write_reconstruction(tmp_path / "r.h5", images)
    assert os.listdir(tmp_path) == []


def test_maps(tmp_path: Path) -> None:
    maps = random_kspace(4, 2, 3, 16, 12)
    write_maps(tmp_path / "m.h5", maps)
    with h5py.File(tmp_path / "m.h5") as file:
        np.testing.assert_array_equal(file["maps"], maps.numpy())
    with pytest.raises(ShapeError, match="expected 3 or 4 axes"):
        write_maps(tmp_path / "n.h5", random_kspace(3, 16, 12))


FASTMRI_FILES: dict[str, Any] = dict(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parity
@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("header", [HEADER, Header()])
def test_fastmri_reads_our_files(tmp_path: Path, fastmri_package: object, coils: int, header: Header) -> None:
    from fastmri.data import SliceDataset

    scan = scan_with(
        kspace=random_kspace(4, coils, 16, 12), target=torch.rand(4, 8, 8), mask=torch.ones(12), header=header
    )
    write_scan(scan, tmp_path / "brain.h5")
    dataset = SliceDataset(tmp_path, "singlecoil" if coils == 1 else "multicoil")
    assert len(dataset) == 4
    kspace, mask, target, attributes, name, index = dataset[2]
    assert name == "brain.h5" and index == 2
    np.testing.assert_array_equal(kspace.reshape(coils, 16, 12), scan.kspace[2].numpy())
    assert scan.mask is not None
    np.testing.assert_array_equal(mask, scan.mask.numpy())
    np.testing.assert_array_equal(target, scan.target(2).numpy())  # type: ignore[union-attr]
    assert (attributes["padding_left"], attributes["padding_right"]) == header.padding(12)
    assert attributes["recon_size"][:2] == ((8, 8) if header.recon_matrix else (16, 12))
    assert {"acquisition", "patient_id", "max", "norm"} <= set(attributes)


@pytest.mark.parity
@pytest.mark.parametrize("header", [HEADER, Header()])
def test_fastmri_transforms_take_our_files(tmp_path: Path, fastmri_package: object, header: Header) -> None:
    from fastmri.data import SliceDataset
    from fastmri.data.subsample import RandomMaskFunc
    from fastmri.data.transforms import UnetDataTransform, VarNetDataTransform

    scan = scan_with(target=torch.rand(4, 8, 8), header=header)
    full, masked = tmp_path / "full", tmp_path / "masked"
    full.mkdir()
    masked.mkdir()
    write_scan(scan, full / "brain.h5")
    mask_function = RandomMaskFunc([0.2], [2])
    sample = SliceDataset(full, "multicoil", VarNetDataTransform(mask_function))[1]
    assert sample.mask.shape == (1, 1, 12, 1) and sample.crop_size == ((8, 8) if header.recon_matrix else (16, 12))
    assert sample.max_value == pytest.approx(float(torch.stack(list(scan.targets or [])).max()))
    unet = SliceDataset(full, "multicoil", UnetDataTransform("multicoil", mask_function))[1]
    assert unet.image.shape == (8, 8)

    undersampled = scan.undersample(sample.mask.flatten())
    write_scan(undersampled, masked / "brain.h5")
    again = SliceDataset(masked, "multicoil", VarNetDataTransform())[1]
    assert torch.equal(again.mask, sample.mask)
    assert torch.equal(torch.view_as_complex(again.masked_kspace), undersampled.kspace[1])
    torch.testing.assert_close(again.masked_kspace, sample.masked_kspace, rtol=0, atol=0)
    assert read(masked / "brain.h5").mask is not None


@pytest.mark.parity
@settings(**FASTMRI_FILES)
@given(columns=st.integers(2, 40), center=st.integers(0, 40), extra=st.integers(0, 20))
def test_padding_is_that_of_fastmri(
    tmp_path: Path, fastmri_package: object, columns: int, center: int, extra: int
) -> None:
    from fastmri.data import SliceDataset

    center = min(center, columns // 2)  # fastMRI counts a negative padding from the right
    header = Header((4, columns, 1), (4, columns, 1), phase_limits=(0, center, center + extra))
    write_scan(Scan.from_arrays(random_kspace(1, 2, 4, columns), header=header), tmp_path / "a.h5", force=True)
    attributes = SliceDataset(tmp_path, "multicoil")[0][3]
    left, right = attributes["padding_left"], attributes["padding_right"]
    assert header.padding(columns) == (left, min(right, columns))
    assert dataclasses.asdict(read(tmp_path / "a.h5").header)["phase_limits"] == (0, center, center + extra)


@pytest.mark.parity
def test_fastmri_reads_measured_data_of_ours(tmp_path: Path, fastmri_package: object, real_data: Path) -> None:
    from fastmri.data import SliceDataset

    measured = np.load(real_data / "kspace" / "gre_32ch.npy")
    write_scan(Scan.from_arrays(measured), tmp_path / "gre.h5")
    dataset = SliceDataset(tmp_path, "multicoil")
    assert len(dataset) == 2
    np.testing.assert_array_equal(dataset[1][0], measured[1])
