"""VarNet: equal to the fastmri package's, with its state dicts, whatever the batch."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from kascade.errors import ConfigError, MissingExtraError
from kascade.physics import Encoding
from kascade.physics.rss import rss
from kascade.unroll import CascadeConfig, build_cascade, load_model, save_model
from kascade.unroll.varnet import VarNet
from tests.battery import random_complex

COILS, ROWS, COLUMNS = 3, 20, 24
TINY = {"chans": 2, "pools": 2, "sens_chans": 2, "sens_pools": 2}


def make(iterations: int = 2) -> nn.Module:
    torch.manual_seed(0)
    config = {"kind": "varnet", "iterations": iterations, "prior": {"options": TINY}}
    return build_cascade(CascadeConfig.model_validate(config))


def mask_of(acs: int = 6, every: int = 2) -> Tensor:
    columns = torch.arange(COLUMNS)
    return ((columns % every == 0) | ((columns - COLUMNS // 2 + 0.5).abs() < acs / 2)).float()


def problem(*batch: int, mask: Tensor | None = None) -> tuple[Encoding, Tensor]:
    maps = random_complex(*batch, COILS, ROWS, COLUMNS, seed=1, dtype=torch.complex64) / 4
    E = Encoding(maps, mask_of() if mask is None else mask)
    return E, E(random_complex(*batch, ROWS, COLUMNS, seed=2, dtype=torch.complex64))


@pytest.mark.parity
def test_state_dicts_of_fastmri_load_unchanged(fastmri_package: ModuleType) -> None:
    from fastmri.models import VarNet as Theirs

    torch.manual_seed(1)
    theirs = Theirs(num_cascades=3, sens_chans=2, sens_pools=2, chans=3, pools=2)
    ours = VarNet(3, chans=3, pools=2, sens_chans=2, sens_pools=2)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    E, y = problem(2)
    mask = mask_of().bool().expand(2, -1)[:, None, None, :, None]
    expected = theirs(torch.view_as_real(y), mask)
    image = ours(E, y).image
    torch.testing.assert_close(image.real, expected)
    assert image.dtype == torch.complex64 and not image.imag.any()


@pytest.mark.parity
def test_the_papers_size_is_the_default(fastmri_package: ModuleType) -> None:
    from fastmri.models import VarNet as Theirs

    with torch.device("meta"):
        shapes = [{k: v.shape for k, v in model.state_dict().items()} for model in (VarNet(), Theirs())]
        assert abs(sum(p.numel() for p in VarNet().parameters()) / 29.9e6 - 1) < 0.01
    assert shapes[0] == shapes[1]


@pytest.mark.parity
def test_batches_are_their_items_and_zeros_stay_zero(fastmri_package: ModuleType) -> None:
    """Each item with a mask of its own; an item without signal gives zeros and spoils no gradient."""
    model = make()
    masks = torch.stack([mask_of(4), mask_of(8), mask_of(6)])[:, None, None, :]
    E, y = problem(3, mask=masks)
    y[1] = 0
    out = model(E, y, trace=True)
    for i in (0, 2):
        alone = model(Encoding(E.maps[i], masks[i, 0, 0]), y[i]).image
        torch.testing.assert_close(out.image[i], alone, rtol=1e-4, atol=1e-5)
    assert not out.image[1].any()
    assert len(out.trace.z) == len(out.trace.consistency) == 2 and out.trace.x == out.trace.lam == []
    assert torch.equal(out.trace.z[-1], out.image) and out.trace.consistency[0].shape == (3,)
    out.image.abs().square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert not model(E, torch.zeros_like(y), trace=True).image.any()


@pytest.mark.parity
@pytest.mark.parametrize("amplitude", [1e-6, 1e6])
def test_amplitude_does_not_matter(fastmri_package: ModuleType, amplitude: float) -> None:
    model = make()
    E, y = problem()
    torch.testing.assert_close(model(E, amplitude * y).image / amplitude, model(E, y).image, rtol=1e-3, atol=1e-4)


@pytest.mark.parity
def test_what_lies_outside_the_mask_is_ignored(fastmri_package: ModuleType) -> None:
    model = make()
    E, y = problem()
    noise = random_complex(*y.shape, seed=5, dtype=y.dtype) * (1 - mask_of())
    assert torch.equal(model(E, y + noise).image, model(E, y).image)


@pytest.mark.parity
def test_map_sets_keep_their_axis(fastmri_package: ModuleType) -> None:
    model = make()
    E, y = problem()
    two = Encoding(torch.stack((E.maps, E.maps)), E.mask, sets=2)
    image = model(two, y).image
    assert image.shape == two.domain_shape
    torch.testing.assert_close(rss(image, -3), model(E, y).image.real)


@pytest.mark.parity
def test_fully_sampled_data_stay_what_they_are_where_the_network_adds_nothing(fastmri_package: ModuleType) -> None:
    model = make(1)
    for name, parameter in model.named_parameters():
        if name.startswith("cascades") and parameter.ndim == 4:
            nn.init.zeros_(parameter)
    E, y = problem(mask=torch.ones(COLUMNS))
    unmasked = model(Encoding(E.maps), y).image
    assert bool(unmasked.isfinite().all()) and torch.equal(unmasked, model(E, y).image)


@pytest.mark.parity
@pytest.mark.parametrize("mask", [torch.ones(ROWS, COLUMNS).tril(), 0.5 * torch.ones(COLUMNS)])
def test_masks_that_varnet_cannot_know_are_refused(fastmri_package: ModuleType, mask: Tensor) -> None:
    E, y = problem(mask=mask)
    with pytest.raises(ConfigError, match="masks of whole columns only"):
        make()(E, y)


@pytest.mark.parity
def test_without_a_center_there_are_no_maps(fastmri_package: ModuleType) -> None:
    """Where fastMRI would give NaN."""
    mask = (torch.arange(COLUMNS) % 2 == 1).float()
    E, y = problem(mask=mask)
    with pytest.raises(ConfigError, match="central columns of k-space, which are not acquired"):
        make()(E, y)
    mask[COLUMNS // 2] = 1
    E, y = problem(mask=mask)
    assert bool(make()(E, y).image.isfinite().all())


@pytest.mark.parity
def test_a_mask_of_equal_rows_is_one_of_columns(fastmri_package: ModuleType) -> None:
    model = make()
    E, y = problem()
    assert torch.equal(model(Encoding(E.maps, mask_of().expand(ROWS, -1)), y).image, model(E, y).image)
    with pytest.raises(ConfigError, match="needs an Encoding"):
        model(E.gram, y)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastmri.models", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'kascade\[fastmri\]'"):
        make()


@pytest.mark.parity
def test_weights_files_hold_varnets(fastmri_package: ModuleType, tmp_path: Path) -> None:
    config = CascadeConfig.model_validate({"kind": "varnet", "iterations": 2, "prior": {"options": TINY}})
    model = build_cascade(config)
    save_model(tmp_path / "varnet.safetensors", model, config, {})
    E, y = problem()
    assert torch.equal(load_model(tmp_path / "varnet.safetensors").model(E, y).image, model.eval()(E, y).image)
