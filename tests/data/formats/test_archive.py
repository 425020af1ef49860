"""Which array of an archive is k-space, and how its mask and maps are laid out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kascade.data import load
from kascade.errors import FileFormatError
from tests.data.files import random_kspace

KSPACE = random_kspace(2, 3, 6, 5)
MAPS = random_kspace(2, 4, 3, 6, 5)  # slice, set, coil, rows, columns
COLUMNS = np.array([1, 0, 1, 1, 0])


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_the_only_complex_array_is_taken(tmp_path):
    scan = load(save(tmp_path / "a.npz", data=KSPACE, maps=MAPS[:, 0], weights=np.ones(5), mask=COLUMNS))
    assert torch.equal(scan.kspace[1], torch.from_numpy(KSPACE[1]))
    assert scan.mask.tolist() == COLUMNS.tolist() and torch.equal(scan.maps[1], torch.from_numpy(MAPS[1, 0]))


def test_kspace_wins_over_other_complex_arrays(tmp_path):
    scan = load(save(tmp_path / "a.npz", other=2 * KSPACE, kspace=KSPACE))
    assert torch.equal(scan.kspace[0], torch.from_numpy(KSPACE[0]))
    assert scan.mask is None and scan.maps is None


def test_several_candidates_are_listed(tmp_path):
    with pytest.raises(FileFormatError, match=r"2 complex arrays.*one \(2, 3, 6, 5\) complex64, two \(2, 3, 6, 5\)"):
        load(save(tmp_path / "a.npz", one=KSPACE, two=KSPACE))


def test_no_candidate_is_listed(tmp_path):
    with pytest.raises(FileFormatError, match=r"no complex array.*image \(4, 4\) float64"):
        load(save(tmp_path / "a.npz", image=np.ones((4, 4)), maps=MAPS))


def test_real_kspace_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="samples are float64"):
        load(save(tmp_path / "a.npz", kspace=KSPACE.real.astype(float), other=KSPACE))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 1, 1, 5)])
def test_a_mask_of_columns_may_have_single_axes(tmp_path, dtype, shape):
    scan = load(save(tmp_path / "a.npz", kspace=KSPACE, mask=COLUMNS.astype(dtype).reshape(shape)))
    assert scan.mask.dtype == torch.float32 and scan.mask.tolist() == COLUMNS.tolist()


def test_a_two_dimensional_mask_follows_the_order_of_kspace(tmp_path):
    mask = np.random.default_rng(0).integers(0, 2, (6, 5))
    scan = load(save(tmp_path / "a.npz", kspace=KSPACE, mask=mask))
    assert torch.equal(scan.mask, torch.from_numpy(mask).float())
    turned = save(tmp_path / "b.npz", kspace=KSPACE.transpose(3, 2, 1, 0), mask=mask.T)
    assert torch.equal(load(turned, "columns,rows,coil,slice").mask, scan.mask)
    full_rank = save(tmp_path / "c.npz", kspace=KSPACE, mask=mask[None, None])
    assert torch.equal(load(full_rank).mask, scan.mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones(6), r"mask has shape \(6,\).*6 rows and 5 columns"),
        (np.ones((5, 6)), r"mask has shape \(5, 6\)"),
        (np.ones((2, 6, 5)), r"mask has shape \(2, 6, 5\)"),
        (np.ones((6, 1)), "varies along rows"),
        (np.array(1.0), r"mask has shape \(1,\)"),
        (np.full(5, np.nan), "mask holds negative or not finite"),
        (-np.ones(5), "mask holds negative or not finite"),
        (np.ones(5, complex), "mask is complex128"),
        (np.array(["a"] * 5), "mask is <U1"),
    ],
)
def test_masks_that_do_not_fit_are_refused_naming_the_file(tmp_path, mask, message):
    path = save(tmp_path / "a.npz", kspace=KSPACE, mask=mask)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("part", [np.s_[0, 0], np.s_[:, 0], np.s_[0], np.s_[:]])
@pytest.mark.parametrize("order", ["python", "matlab"])
def test_maps_with_and_without_slices_and_sets(tmp_path, part, order):
    """Python stores (slice, set, coil, rows, columns), MATLAB (rows, columns, coil, set, slice)."""
    maps = MAPS[part]
    kspace, axes, stored = KSPACE, None, maps
    if order == "matlab":
        kspace, axes = KSPACE.transpose(2, 3, 1, 0), "rows,columns,coil,slice"
        stored = np.moveaxis(maps, (-2, -1, -3), (0, 1, 2))
        if maps.ndim == 5:
            stored = stored.swapaxes(3, 4)
    scan = load(save(tmp_path / "a.npz", kspace=kspace, maps=stored), axes)
    for index in range(2):
        expected = maps[index] if part in (np.s_[:, 0], np.s_[:]) else maps
        assert torch.equal(scan.maps[index], torch.from_numpy(np.ascontiguousarray(expected)))


def test_maps_shaped_like_kspace_are_maps_of_each_slice(tmp_path):
    """Two slices could be two sets as well: files of ours, and fastMRI's, count slices first."""
    scan = load(save(tmp_path / "a.npz", kspace=KSPACE, maps=MAPS[0, :2]))
    assert scan.maps.shape == KSPACE.shape
    one = load(save(tmp_path / "b.npz", kspace=KSPACE[0], maps=MAPS[0, :2]), "coil,rows,columns")
    assert one.maps.shape == (1, 2, 3, 6, 5)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (MAPS[0, 0, :2], r"maps have shape \(2, 2, 6, 5\)"),
        (MAPS[0, 0, 0], "expected the axes slice,coil,rows,columns"),
        (MAPS[0, 0].real, "maps: samples are float32"),
        (np.ones((3, 2, 3, 6, 5), complex), r"maps have shape \(3, 2, 3, 6, 5\)"),
    ],
)
def test_maps_that_do_not_fit_are_refused(tmp_path, maps, message):
    with pytest.raises(FileFormatError, match=message):
        load(save(tmp_path / "a.npz", kspace=KSPACE, maps=maps))
