from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kascade.data.nifti import read_volume
from kascade.errors import ConfigError
from kascade.train.restoration.data import RestorationData, read_clean
from tests.heads import head_array, write_head
from tests.train.restoration.tiny import tiny_recipe, write_heads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("data"))


def test_volumes_are_cut_about_the_head_and_scaled(tmp_path: Path) -> None:
    moved = np.pad(head_array(), ((30, 2), (1, 20), (5, 0)))  # far from the middle
    volume = read_clean(write_head(tmp_path / "a.nii.gz", moved), (48, 40), 6)
    assert volume.slices.shape == (6, 48, 40) and volume.slices.dtype == torch.float16
    rows, columns = (volume.head.any(0).any(n).nonzero()[:, 0] for n in (1, 0))
    assert abs(int(rows.min() + rows.max()) - 47) <= 1 and abs(int(columns.min() + columns.max()) - 39) <= 1
    assert 0.8 < float(volume.slices.max()) < 1.3
    original = read_volume(tmp_path / "a.nii.gz").axial_slices()
    assert float(volume.slices.float().sum()) == pytest.approx(float(original[8:14].sum()) / 1230, rel=0.1)
    first, head = volume.around(0)
    assert torch.equal(first[0], first[1]) and head.shape == first.shape
    with pytest.raises(ConfigError, match="every voxel is 0"):
        read_clean(write_head(tmp_path / "z.nii.gz", 0 * moved), (48, 40), 6)


def test_examples_follow_from_seed_epoch_and_number(folder: Path) -> None:
    recipe = tiny_recipe()
    one, two = (RestorationData(recipe.data, folder, 5) for _ in range(2))
    for a, b in zip(one.train(3, 4)[2], two.train(3, 4)[2], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.train(3, 4)[2].degraded, one.train(4, 4)[2].degraded)
    assert not torch.equal(one.train(3, 4)[2].degraded, RestorationData(recipe.data, folder, 6).train(3, 4)[2].degraded)
    with pytest.raises(IndexError):
        one.train(0, 4)[4]


def test_examples_are_patches_of_the_head_with_labels_in_the_range_of_the_paper(folder: Path) -> None:
    recipe = tiny_recipe()
    data = RestorationData(recipe.data, folder, 0)
    assert [len(files) for files in data.files[0]] == [2, 1]
    assert data.fits == {"spacing_mm": [1.6, 2.5], "slice_distance_mm": [2.0, 3.12]}
    seen = set()
    for index in range(40):
        example = data.train(0, 40)[index]
        assert example.degraded.shape == example.clean.shape == (3, 32, 32)
        assert example.head.shape == (32, 32) and bool(example.head.any())
        assert float(example.clean.min()) >= -1 and float(example.clean.max()) < 2
        label = tuple(example.labels.tolist())
        seen.add(label)
        assert torch.equal(example.degraded, example.clean) == (label == (0, 0, 0, 1))
    assert len(seen) == 6
    whole = tiny_recipe(data={"patch": None, "mixtures": {"noise": 1}})
    example = RestorationData(whole.data, folder, 0).validation()[0]
    assert example.degraded.shape == (3, 48, 40) and example.labels.tolist() == [0, 0, 1, 0]


def test_missing_files_are_told(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="to train on"):
        RestorationData(tiny_recipe().data, tmp_path, 0)
    sources = [{"kind": "nifti", "folder": "heads", "licence": "CC0"}]
    with pytest.raises(ConfigError, match="no source has files for validation"):
        RestorationData(tiny_recipe(data={"sources": sources}).data, folder, 0).validation()
