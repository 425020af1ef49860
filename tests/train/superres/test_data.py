from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kascade.data.nifti import read_volume
from kascade.data.simulation.thick import simulate_thick
from kascade.errors import ConfigError
from kascade.recon.superres import super_resolve
from kascade.train.superres.data import SliceSource, ThickSource, ThickVolume, framed
from tests.train.superres.tiny import generation, superres, write_heads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_heads(tmp_path_factory.mktemp("data"))


def test_networks_learn_from_what_they_will_be_given(folder: Path) -> None:
    """Images of training are those that `super_resolve` passes to the network."""
    path = folder / "heads" / "h0.nii.gz"
    volume = ThickVolume.read(path, superres().data)
    fine = read_volume(path)
    seen: list[torch.Tensor] = []

    class Spy(torch.nn.Identity):
        stride = 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x[:, 0].clone())
            return x

    super_resolve(simulate_thick(fine, 3), 3, network=Spy(), axis="z", like=fine)
    torch.testing.assert_close(torch.cat(seen), volume.degraded.float(), atol=2e-3, rtol=2e-3)
    assert volume.clean.shape == volume.degraded.shape
    error = (volume.clean.float() - volume.degraded.float()).abs().mean()
    assert 0 < float(error) < 0.2 * float(volume.clean.float().abs().mean())


def test_examples_follow_from_seed_epoch_and_number(folder: Path) -> None:
    one, two, other = (ThickSource(superres().data, folder, seed) for seed in (5, 5, 6))
    assert [len(files) for files in one.files[0]] == [2, 1]
    a, b, c, d = one.train(3, 4)[2], two.train(3, 4)[2], other.train(3, 4)[2], one.train(2, 4)[2]
    assert torch.equal(a.degraded, b.degraded) and torch.equal(a.clean, b.clean)
    assert not torch.equal(a.clean, c.clean) and not torch.equal(a.clean, d.clean)
    assert a.clean.shape == a.degraded.shape == (1, 16, 16)
    assert len(one.validation()) == 3 and one.validation()[1].peak > 1
    with pytest.raises(IndexError):
        one.train(0, 4)[4]


def test_slices_of_all_planes(folder: Path) -> None:
    source = SliceSource(generation().data, folder, 0)
    slices = [source.train(0, 30)[n] for n in range(30)]
    assert all(s.shape == (1, 16, 16) and float(s.max()) > 0.2 for s in slices)
    heights = {int((s[0] > 0).any(1).sum()) for s in slices}
    assert 12 in heights and 16 in heights  # twelve axial slices high, or cut to the size
    assert torch.equal(framed(torch.ones(2, 4), 4), torch.tensor([[0.0] * 4, [1.0] * 4, [1.0] * 4, [0.0] * 4]))
    assert torch.equal(framed(torch.arange(5.0).expand(1, 5), 3)[1], torch.arange(1.0, 4.0))


def test_missing_files_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="to train on"):
        ThickSource(superres().data, tmp_path, 0)
    source = {"kind": "nifti", "folder": "heads", "licence": "CC0"}
    with pytest.raises(ConfigError, match="no source has files for validation"):
        SliceSource(generation(data={"sources": [source]}).data, folder, 0).validation()
