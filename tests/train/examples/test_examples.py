"""Training examples: drawn the same every time, consistent with their masks, from images and from k-space."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from kascade.data import Scan, simulate_head, write_scan
from kascade.errors import ConfigError
from kascade.physics import Encoding, regularized_sense
from kascade.train.examples import DataConfig, Example, TrainingData
from kascade.train.examples.objects import Slice, recolor, resample, with_scalp

PHANTOM: dict[str, Any] = {"kind": "phantom"}


def config(*sources: dict[str, Any], **options: Any) -> DataConfig:
    return DataConfig.model_validate({"sources": list(sources), "pixels": 2500, "coils": [4, 4], **options})


def data(tmp_path: Path, *sources: dict[str, Any], seed: int = 0, **options: Any) -> TrainingData:
    return TrainingData(config(*(sources or (PHANTOM,)), **options), tmp_path, seed)


def brain(rows: int = 40, columns: int = 36) -> torch.Tensor:
    """A textured ellipse on exact zeros."""
    y, x = torch.meshgrid(torch.linspace(-1.2, 1.2, rows), torch.linspace(-1.2, 1.2, columns), indexing="ij")
    return (0.8 + 0.2 * torch.sin(9 * x) * torch.cos(7 * y)) * (x**2 + y**2 < 1)


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    for name in ("sub-1", "sub-2", "sub-3"):
        stack = brain()[:, :, None].repeat(1, 1, 20).numpy()
        nibabel.save(nibabel.Nifti1Image(stack, np.diag([2.0, 2.0, 3.0, 1.0])), tmp_path / f"{name}.nii.gz")
    return tmp_path


def equal(a: Example, b: Example) -> bool:
    return all(x.shape == y.shape and torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_an_example_follows_from_seed_epoch_and_number(tmp_path: Path) -> None:
    first, again, other = data(tmp_path), data(tmp_path), data(tmp_path, seed=1)
    assert equal(first.train(0, 3)[1], again.train(0, 5)[1])
    assert not equal(first.train(0, 3)[1], first.train(0, 3)[2])
    assert not equal(first.train(0, 3)[1], first.train(1, 3)[1])
    assert not equal(first.train(0, 3)[1], other.train(0, 3)[1])
    assert not equal(first.train(0, 3)[1], first.validation()[1])


@pytest.mark.parametrize("kind", ["uniform", "random", "grid"])
def test_k_space_is_zero_where_the_mask_is(tmp_path: Path, kind: str) -> None:
    examples = data(tmp_path, masks={kind: 1.0}, acceleration=[2, 4]).train(0, 2)
    for y, maps, mask, target in (examples[0], examples[1]):
        assert y.dtype == maps.dtype == target.dtype == torch.complex64 and mask.dtype == torch.float32
        assert y.shape == maps.shape == (4, *target.shape)
        assert mask.shape == (target.shape if kind == "grid" else target.shape[-1:])
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert bool((y * (1 - mask) == 0).all())


def test_full_sampling_without_noise_gives_the_target(tmp_path: Path) -> None:
    examples = data(tmp_path, snr=[1e6, 1e6], acceleration=[1, 1]).train(0, 3)
    for y, maps, mask, target in (examples[i] for i in range(3)):
        assert bool((mask == 1).all())
        image = regularized_sense(Encoding(maps, mask), y, lam=20.0, tol=1e-5).image
        bright = target.abs() > 0.3 * target.abs().max()
        error = torch.linalg.vector_norm((image - target)[bright]) / torch.linalg.vector_norm(target[bright])
        assert float(error) < 0.1


def test_noise_has_the_strength_asked_for(tmp_path: Path) -> None:
    """With few unknowns left to chance: the same scan with and without noise."""
    y, quiet = (data(tmp_path, snr=[snr, snr]).train(0, 1)[0].y for snr in (10.0, 1e9))
    noise = (y - quiet)[quiet != 0].abs().square().mean().sqrt()
    target = data(tmp_path, snr=[1e9, 1e9]).train(0, 1)[0].target.abs()
    support = target > 0.05 * target.quantile(0.99)
    assert float(target[support].mean() / noise) == pytest.approx(10, rel=0.2)


def test_examples_reach_worker_processes(tmp_path: Path) -> None:
    examples = data(tmp_path).train(0, 1)
    assert equal(pickle.loads(pickle.dumps(examples))[0], examples[0])


def test_apodized_scans_fall_off_towards_the_edges_of_k_space(tmp_path: Path) -> None:
    options: dict[str, Any] = {"snr": [0.01, 0.01], "acceleration": [1, 1]}  # nothing but noise, all of it
    plain, filtered = (data(tmp_path, apodized=p, **options).train(0, 1)[0].y.abs() for p in (0.0, 1.0))
    assert filtered.shape == plain.shape
    assert float(filtered[..., :3].mean() / plain[..., :3].mean()) < 0.75
    middle = plain.shape[-1] // 2
    assert float((filtered / plain)[..., middle].max()) == pytest.approx(1, abs=1e-4)


def test_nifti_files_are_kept_apart(volumes: Path) -> None:
    source = {"kind": "nifti", "folder": ".", "licence": "CC0", "validation": ["sub-2"], "test": ["sub-3"]}
    found = data(volumes, source)
    names = [[path.name for path in files] for files in found.files[0]]
    assert names == [["sub-1.nii.gz"], ["sub-2.nii.gz"]]
    assert found.train(0, 1)[0].target.abs().max() > 0
    assert len(found.validation()) == 16


def test_scans_in_k_space_are_undersampled_in_retrospect(tmp_path: Path) -> None:
    scan = simulate_head((2, 48, 40), coils=4, snr=50)
    write_scan(scan, tmp_path / "a.h5")
    example = data(tmp_path, {"kind": "kspace", "folder": ".", "licence": "own"}).train(0, 1)[0]
    assert example.target.shape == (48, 40)
    known = [torch.equal(example.y, scan.kspace[i] * example.mask) for i in range(2)]
    assert any(known)


def test_undersampled_scans_are_refused(tmp_path: Path) -> None:
    scan = simulate_head((1, 48, 40), coils=4, snr=50)
    mask = torch.zeros(40)
    mask[::2] = 1
    write_scan(scan.undersample(mask), tmp_path / "a.h5")
    with pytest.raises(ConfigError, match=r"a\.h5: is undersampled"):
        data(tmp_path, {"kind": "kspace", "folder": ".", "licence": "own"})


OWN: dict[str, Any] = {"kind": "kspace", "folder": ".", "licence": "own"}


def test_undersampled_arrays_which_have_no_mask_are_refused(tmp_path: Path) -> None:
    kspace = np.stack([part.numpy() for part in simulate_head((3, 48, 40), coils=4, snr=50).kspace])
    kspace[1, :, :, ::2] = 0
    np.save(tmp_path / "a.npy", kspace)
    with pytest.raises(ConfigError, match=r"a\.npy: slice 1 is undersampled"):
        data(tmp_path, {**OWN, "files": "*.npy"})


def test_a_slice_is_checked_when_it_is_drawn(tmp_path: Path) -> None:
    kspace = np.stack([part.numpy() for part in simulate_head((3, 48, 40), coils=4, snr=50).kspace])
    kspace[0, :, 5] = 0
    kspace[2] = 0  # empty, but not undersampled
    np.save(tmp_path / "a.npy", kspace)
    examples = data(tmp_path, {**OWN, "files": "*.npy"}).train(0, 12)
    seen = set()
    for index in range(12):
        try:
            seen.add(bool(examples[index].target.any()))
        except ConfigError as error:
            seen.add(str(error).partition(": ")[2].partition(" (")[0])
    assert seen == {True, False, "slice 0 is undersampled"}


def test_columns_that_were_never_to_be_acquired_may_be_empty(tmp_path: Path) -> None:
    """As in files of fastMRI, which has zeros outside the limits that the header names."""
    scan = simulate_head((1, 48, 40), coils=4, snr=50)
    padded = torch.nn.functional.pad(torch.stack(list(scan.kspace)), (4, 4))
    header = dataclasses.replace(scan.header, encoded_matrix=(48, 48, 1), phase_limits=(0, 20, 39))
    write_scan(Scan.from_arrays(padded, header=header), tmp_path / "a.h5")
    assert data(tmp_path, OWN).train(0, 1)[0].target.shape == (48, 48)


def test_the_range_of_accelerations_is_that_of_the_masks(tmp_path: Path) -> None:
    """Of nominal R = 2 to 8 with 12 to 16 calibration lines of about 50 columns, little is above a true R of 4."""
    drawn = data(tmp_path, acceleration=[2, 8], acs=[12, 16], validation_examples=6)
    low, high = drawn.accelerations
    masks = [drawn.train(0, 10)[i].mask for i in range(10)]
    true = np.array([mask.numel() / float(mask.sum()) for mask in masks])
    assert 1 < low < 2 and 2.5 < high < 4
    assert np.mean((low <= true) & (true <= high)) > 0.85
    assert (10 * low) % 1 == pytest.approx(0, abs=1e-6) and (10 * high) % 1 == pytest.approx(0, abs=1e-6)
    grids = data(tmp_path, acceleration=[4, 4], acs=[8, 8], masks={"grid": 1.0}, validation_examples=2)
    assert 2 < grids.accelerations[0] <= grids.accelerations[1] <= 4


def test_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"t1w: no file .* to train on"):
        data(tmp_path, {"kind": "nifti", "folder": "t1w", "licence": "CC0"})
    with pytest.raises(ConfigError, match="validation"):
        write_scan(simulate_head((1, 48, 40), coils=2), tmp_path / "a.h5")
        data(tmp_path, {"kind": "kspace", "folder": ".", "licence": "own"}).validation()


def test_ranges_are_checked() -> None:
    with pytest.raises(ValidationError, match="acceleration must be"):
        config(PHANTOM, acceleration=[4, 2])


def test_scalp_surrounds_the_brain_and_leaves_it_alone() -> None:
    drawn = Slice(brain(), (2.0, 2.0))
    result = with_scalp(drawn, np.random.default_rng(0)).image
    room = 12  # 24 mm
    inside = drawn.image > 0
    assert torch.equal(result[room:-room, room:-room][inside], drawn.image[inside])
    assert float(result[room:-room, room:-room][~inside].mean()) > 0
    assert float(result[0].max()) == 0


def test_recolor_keeps_the_background() -> None:
    for seed in range(10):
        out = recolor(brain(), np.random.default_rng(seed))
        assert float(out.min()) >= 0 and float(out[brain() == 0].abs().max()) == 0
        assert float(out.max()) > 0.05


def test_resample_keeps_size_in_millimeters() -> None:
    """An object covers the same area in mm^2 on any grid."""
    drawn = Slice(brain(), (2.0, 2.5))
    area = float((brain() > 0.3).sum()) * 2.0 * 2.5
    out = resample(drawn, (110.0, 120.0), (160, 150), np.random.default_rng(1))
    assert float((out > 0.3).sum()) * (110 / 160) * (120 / 150) == pytest.approx(area, rel=0.05)
