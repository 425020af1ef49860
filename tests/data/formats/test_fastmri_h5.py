from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from kascade.data.formats.fastmri_h5 import matches, read, read_images, read_maps
from kascade.data.header import Header
from kascade.data.slices import Slices
from kascade.errors import ConfigError, FileFormatError
from tests.data.h5_files import KNEE_XML, random_kspace, write_h5

KSPACE = random_kspace(2, 3, 16, 12)


def write_knee(path: Path, **changes: Any) -> Path:
    """A multi-coil training file; a change to None leaves a data set out."""
    datasets = {
        "kspace": KSPACE,
        "reconstruction_rss": np.random.default_rng(0).random((2, 8, 8), np.float32),
        "ismrmrd_header": KNEE_XML,
        **changes,
    }
    attributes = {"acquisition": "CORPD_FBK", "max": 0.5, "norm": np.float32(2.5), "patient_id": b"0123"}
    return write_h5(path, attributes, **{name: value for name, value in datasets.items() if value is not None})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file1000001.h5"


def test_multicoil_training_file(path: Path) -> None:
    scan = read(write_knee(path))
    assert matches(path)
    assert (scan.name, scan.path) == ("file1000001", path)
    assert scan.kspace.shape == (2, 3, 16, 12) and scan.kspace[1].dtype == torch.complex64
    assert torch.equal(scan.kspace[1], KSPACE[1])
    assert scan.mask is None and scan.target_name == "reconstruction_rss"
    target = scan.target(1)
    assert target is not None and target.shape == (8, 8) and target.dtype == torch.float32
    assert scan.header.encoded_matrix == (16, 12, 1) and scan.header.phase_limits == (0, 5, 9)
    assert scan.attributes == {"acquisition": "CORPD_FBK", "max": 0.5, "norm": 2.5, "patient_id": "0123"}
    assert scan.problems() == []
    assert torch.equal(pickle.loads(pickle.dumps(scan)).kspace[0], KSPACE[0])


def test_singlecoil_file_prefers_its_own_target(path: Path) -> None:
    esc = np.full((2, 8, 8), 7, np.float32)
    scan = read(write_knee(path, kspace=KSPACE[:, 0], reconstruction_esc=esc))
    assert scan.kspace.shape == (2, 1, 16, 12)
    assert torch.equal(scan.kspace[1], KSPACE[1, :1])
    assert scan.target_name == "reconstruction_esc"
    assert torch.equal(scan.target(0), torch.from_numpy(esc[0]))  # type: ignore[arg-type]
    del_esc = read(write_knee(path, kspace=KSPACE[:, 0]))
    assert del_esc.target_name == "reconstruction_rss" and del_esc.target(0) is not None


@pytest.mark.parametrize("shape", [(12,), (1, 1, 12, 1), (1, 12)])
@pytest.mark.parametrize("kind", [np.float32, bool, np.uint8, np.uint16, np.int64, ">f8"])
def test_test_file_with_mask(path: Path, shape: tuple[int, ...], kind: Any) -> None:
    mask = np.array([1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1])
    scan = read(write_knee(path, mask=mask.astype(kind).reshape(shape), reconstruction_rss=None))
    assert scan.target(0) is None
    expected = mask.copy()
    expected[[0, 11]] = 0  # padding: 12 // 2 - 5 = 1 column on the left, 1 + 9 + 1 = 11 is the first on the right
    assert scan.mask is not None and scan.mask.dtype == torch.float32
    assert scan.mask.tolist() == expected.tolist()


def test_only_kspace(path: Path) -> None:
    scan = read(write_h5(path, kspace=KSPACE))
    assert scan.header == Header() and dict(scan.attributes) == {}
    assert torch.equal(scan.kspace[0], KSPACE[0])
    assert scan.without_oversampling() is scan


def test_all_that_is_ours(path: Path) -> None:
    mask = (torch.rand(16, 12) > 0.5).float()
    write_h5(
        path,
        kspace=KSPACE,
        kascade_mask=mask,
        maps=random_kspace(2, 2, 3, 16, 12),
        shot=np.arange(12) % 2,
        motion=np.ones((2, 6), np.float32),
        noise=random_kspace(3, 40),
        noise_covariance=np.eye(3, dtype=np.complex64),
    )
    with h5py.File(path, "a") as file:
        file["motion"].attrs["units"] = "px,deg"
    scan = read(path)
    assert scan.mask is not None and torch.equal(scan.mask, mask)
    assert scan.maps is not None and torch.equal(scan.maps[1], random_kspace(2, 2, 3, 16, 12)[1])
    assert scan.shots is not None and scan.shots.tolist() == [0, 1] * 6
    assert scan.motion is not None and scan.motion.shape == (2, 6)
    assert scan.noise is not None and torch.equal(scan.noise, random_kspace(3, 40))
    assert scan.noise_covariance is not None


def test_motion_of_whole_numbers_with_units_as_bytes(path: Path) -> None:
    """As MATLAB and C write them."""
    write_h5(path, kspace=KSPACE, shot=np.arange(12) % 2, motion=np.ones((2, 3), np.int32))
    with h5py.File(path, "a") as file:
        file["motion"].attrs["units"] = np.bytes_(b"px,deg")
    motion = read(path).motion
    assert motion is not None and motion.dtype == torch.float32 and bool((motion == 1).all())


def test_maps_stored_once_serve_every_slice(path: Path) -> None:
    maps = random_kspace(3, 16, 12)
    scan = read(write_h5(path, kspace=KSPACE, maps=maps))
    assert scan.maps is not None and torch.equal(scan.maps[0], maps) and torch.equal(scan.maps[1], maps)
    assert torch.equal(Slices(read_maps(path, 5), torch.complex64, "x")[4], maps)


@pytest.mark.parametrize(
    ("axes", "stored", "shape"),
    [
        ("coil,rows,columns", (2, 16, 12), (1, 2, 16, 12)),
        ("rows,columns", (16, 12), (1, 1, 16, 12)),
        ("columns,coil,slice,rows", (12, 3, 2, 16), (2, 3, 16, 12)),
        ("slice,rows,columns", (2, 16, 12), (2, 1, 16, 12)),
    ],
)
def test_axes_can_be_named(path: Path, axes: str, stored: tuple[int, ...], shape: tuple[int, ...]) -> None:
    array = random_kspace(*stored)
    scan = read(write_h5(path, kspace=array), axes)
    assert scan.kspace.shape == shape
    names = axes.split(",")
    order = [names.index(name) for name in ("slice", "coil", "rows", "columns") if name in names]
    assert torch.equal(torch.stack(list(scan.kspace)), array.permute(order).reshape(shape))


def test_axes_that_do_not_fit(path: Path) -> None:
    with pytest.raises(ConfigError, match="names 3 axes, but"):
        read(write_h5(path, kspace=KSPACE), "coil,rows,columns")


def test_attributes_of_any_kind(path: Path) -> None:
    write_h5(path, {"list": [1, 2], "empty": h5py.Empty("f4"), "flag": True, "name": "é"}, kspace=KSPACE)
    with h5py.File(path, "a") as file:
        file.attrs["reference"] = file["kspace"].ref
    assert read(path).attributes == {"list": [1, 2], "flag": True, "name": "é"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kspace": None, "other": np.ones(3)}, r"no data set kspace; it holds .*, other \(3,\), recon"),
        ({"kspace": KSPACE[0, 0]}, r"kspace has shape \(16, 12\); expected \(slices, coil, rows, columns\)"),
        ({"kspace": KSPACE[None]}, r"kspace has shape \(1, 2, 3, 16, 12\)"),
        ({"kspace": np.complex64(1)}, r"kspace has shape \(\)"),
        ({"kspace": KSPACE.real.to(torch.int16)}, "kspace has samples of type int16; expected complex"),
        ({"kspace": KSPACE[:, :0]}, r"shape \(2, 0, 16, 12\) and holds nothing"),
        ({"mask": np.ones(11)}, r"file1000001\.h5: mask has shape \(11,\), k-space has 16 rows and 12 columns"),
        ({"mask": np.full(12, np.nan)}, "mask holds negative or not finite values"),
        ({"mask": np.ones(12, np.complex64)}, "mask has values of type complex64"),
        ({"kascade_mask": np.ones((12, 16))}, r"mask has shape \(12, 16\)"),
        ({"maps": random_kspace(3, 12, 16)}, "maps have shape"),
        ({"maps": random_kspace(2, 16)}, r"maps have shape \(2, 16\)"),
        ({"maps": np.ones((3, 16, 12))}, "maps has samples of type float64"),
        ({"reconstruction_rss": np.ones((3, 8, 8))}, r"target has shape \(3, 8, 8\)"),
        ({"reconstruction_rss": np.ones((8, 8))}, r"reconstruction_rss has shape \(8, 8\)"),
        ({"reconstruction_rss": np.ones((2, 8, 8), int)}, "reconstruction_rss has samples of type int64"),
        ({"shot": np.ones(12)}, "shot has values of type float64; expected whole numbers"),
        ({"shot": np.ones(13, int)}, r"shots have shape \(13,\)"),
        ({"motion": np.ones((2, 3))}, "motion has units None; expected the attribute units='px,deg'"),
        ({"noise": random_kspace(4, 9)}, r"noise has shape \(4, 9\)"),
        ({"ismrmrd_header": b"<!DOCTYPE x []><x/>"}, "ismrmrd_header: not an ISMRMRD header"),
        ({"ismrmrd_header": np.ones(3)}, r"ismrmrd_header is float64 of shape \(3,\); expected one string"),
    ],
)
def test_files_that_make_no_sense(path: Path, changes: dict[str, Any], message: str) -> None:
    write_knee(path, **changes)
    with pytest.raises(FileFormatError, match=message) as caught:
        read(path)
    assert "file1000001.h5" in str(caught.value) and "\n" not in str(caught.value)


def test_header_as_an_array_of_one_string(path: Path) -> None:
    assert read(write_knee(path, ismrmrd_header=np.array([KNEE_XML]))).header.protocol == "t1 knee"


def test_no_data_set_at_all(path: Path) -> None:
    with pytest.raises(FileFormatError, match="no data set kspace; it holds nothing"):
        read(write_h5(path))


def test_group_in_place_of_kspace(path: Path) -> None:
    write_h5(path, **{"kspace/real": np.ones(3)})
    with pytest.raises(FileFormatError, match="kspace is a group; expected a data set"):
        read(path)


@pytest.mark.parametrize("name", ["kspace", "mask", "reconstruction_rss", "maps", "ismrmrd_header"])
def test_links_out_of_the_file_are_refused(tmp_path: Path, path: Path, name: str) -> None:
    write_knee(tmp_path / "other.h5", mask=np.ones(12), maps=random_kspace(3, 16, 12))
    write_knee(path, **{name: h5py.ExternalLink("other.h5", name)})
    with pytest.raises(FileFormatError, match=f"{name} is a link out of this place"):
        read(path)


def test_nan_is_named_when_its_slice_is_read(path: Path) -> None:
    kspace = KSPACE.clone()
    kspace[1, 2, 3, 4] = complex(0, float("nan"))
    kspace[1, 2, 3, 5] = float("inf")
    scan = read(write_knee(path, kspace=kspace))
    assert torch.equal(scan.kspace[0], kspace[0])
    with pytest.raises(FileFormatError, match=r"file1000001\.h5: kspace: slice 1 holds 2 NaN or Inf samples of 576"):
        scan.kspace[1]


def test_samples_too_large_for_single_precision_are_found(path: Path) -> None:
    scan = read(write_knee(path, kspace=np.full((2, 3, 16, 12), 1e39 + 0j)))
    with pytest.raises(FileFormatError, match="slice 0 holds 576 NaN or Inf"):
        scan.kspace[0]


def test_truncated_file(path: Path) -> None:
    content = write_knee(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileFormatError, match="truncated or damaged HDF5 file"):
        read(path)


def test_one_coil_of_a_multicoil_file(path: Path) -> None:
    scan = read(write_knee(path, kspace=KSPACE[:, :1]))
    assert scan.kspace.shape == (2, 1, 16, 12) and torch.equal(scan.kspace[0], KSPACE[0, :1])


def test_images(path: Path) -> None:
    write_knee(path, reconstruction=KSPACE[:, 0])
    complex_images = read_images(path)
    assert complex_images.shape == (2, 16, 12) and torch.equal(complex_images[1], KSPACE[1, 0])
    targets = read_images(path, ("reconstruction_esc", "reconstruction_rss"))
    assert targets.shape == (2, 8, 8) and targets[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"other": np.ones(2)}, r"no data set reconstruction or x; it holds other \(2,\)"),
        ({"reconstruction": np.ones((4, 4))}, r"reconstruction has shape \(4, 4\); expected \(slices, rows, columns\)"),
        ({"reconstruction": np.ones((2, 4, 4), int)}, "samples of type int64"),
    ],
)
def test_files_without_images(path: Path, stored: dict[str, Any], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_images(write_h5(path, **stored), ("reconstruction", "x"))


def test_file_without_maps(path: Path) -> None:
    with pytest.raises(FileFormatError, match="no data set maps; it holds kspace"):
        read_maps(write_h5(path, kspace=KSPACE), 2)
