"""The unrolled cascade as a method."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import h5py
import pytest
import torch

from kascade.data import Scan
from kascade.data.masks import uniform_mask
from kascade.errors import ConfigError
from kascade.physics.espirit import espirit
from kascade.recon import get_method
from kascade.recon.models import load_named
from kascade.recon.setup import Setup
from kascade.recon.trace_files import trace_files
from kascade.unroll import cascade
from kascade.unroll.config import PriorConfig
from tests.battery import random_complex
from tests.recon.test_methods import scan_of_a_disc
from tests.tiny_models import save_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("models") / "tiny.safetensors"))


def noisy_disc() -> Scan:
    return scan_of_a_disc(coils=5, noise=0.05, accel=2)


def test_it_is_the_cascade_on_the_problem_of_the_setup(model: str) -> None:
    scan = noisy_disc()
    problem = Setup().problem(scan, 0)
    with torch.no_grad():
        out = load_named(model, {}).network(problem.E, problem.y, trace=True)
    seen: list[tuple[int, int]] = []
    result = get_method("unrolled", model=model)(scan, 0, lambda done, total: seen.append((done, total)))
    torch.testing.assert_close(result.image, problem.final(out.image))
    assert seen == [(1, 1)]
    assert not result.image.requires_grad and not result.image.is_inference()
    assert result.steps is None


def test_trace_and_info_tell_what_happened(model: str) -> None:
    result = get_method("unrolled", model=model)(noisy_disc(), 0)
    assert result.trace is not None and [record["iteration"] for record in result.trace] == [1, 2]
    assert all(record["cg_iterations"] > 0 and 0 < record["residual"] < 1 for record in result.trace)
    assert result.info["lam"] == pytest.approx([6.0, 1.0], rel=1e-5)
    assert result.info["iterations"] == sum(record["cg_iterations"] for record in result.trace)
    assert result.info["residual"] == result.trace[-1]["residual"]
    assert result.info["model"]["name"] == "tiny" and len(result.info["model"]["sha256"]) == 64
    assert json.loads(json.dumps(result.info)) == result.info


def test_steps_are_kept_when_asked_for(model: str) -> None:
    result = get_method("unrolled", model=model, keep_steps=True)(noisy_disc(), 0)
    assert result.steps is not None and set(result.steps) == {"x", "z"}
    assert result.steps["x"].shape == result.steps["z"].shape == (2, 48, 48)
    torch.testing.assert_close(result.steps["z"][-1], result.image)
    assert not torch.equal(result.steps["x"][-1], result.image)


def test_a_final_sense_step_is_one_more_record(tmp_path: Path) -> None:
    path = save_tiny_model(tmp_path / "final.safetensors", final_consistency=True)
    result = get_method("unrolled", model=str(path), keep_steps=True)(noisy_disc(), 0)
    assert result.steps is not None and result.trace is not None
    assert (len(result.trace), len(result.steps["x"]), len(result.steps["z"])) == (3, 3, 2)
    torch.testing.assert_close(result.steps["x"][-1], result.image)


def test_several_map_sets(model: str) -> None:
    scan = noisy_disc()
    result = get_method("unrolled", model=model, sets=2, keep_steps=True)(scan, 0)
    assert result.image.shape == (48, 48) and result.info["sets"] == 2
    assert result.steps is not None and result.steps["x"].shape == (2, 48, 48)
    plain = get_method("unrolled", model=model)(scan, 0).image.abs()
    assert float((result.image.abs() - plain).norm() / plain.norm()) < 0.3


def test_the_amplitude_does_not_matter(model: str) -> None:
    scan = noisy_disc()
    method = get_method("unrolled", model=model)
    plain = method(scan, 0).image
    for scale in (1e-6, 1e6):
        scaled = Scan.from_arrays(scale * scan.kspace[0], mask=scan.mask)
        torch.testing.assert_close(method(scaled, 0).image / scale, plain, rtol=1e-3, atol=1e-4)


def test_zeros_stay_zeros(model: str) -> None:
    zeros = Scan.from_arrays(torch.zeros(3, 32, 32, dtype=torch.complex64), name="zeros")
    result = get_method("unrolled", model=model)(zeros, 0)
    assert not result.image.any() and result.info["residual"] == 0


def test_odd_sizes_and_one_coil(model: str) -> None:
    scan = Scan.from_arrays(random_complex(1, 31, 45, dtype=torch.complex64), name="odd")
    image = get_method("unrolled", model=model)(scan, 0).image
    assert image.shape == (31, 45) and bool(image.isfinite().all())


def test_whitened_and_compressed_coils_keep_the_intensity(model: str) -> None:
    scan = scan_of_a_disc(coils=8, accel=2)
    mix = torch.eye(8, dtype=torch.complex64) + 0.1 * random_complex(8, 8, dtype=torch.complex64)
    scan = Scan.from_arrays(scan.kspace[0], mask=scan.mask, noise_covariance=mix @ mix.mH, name="compressed")
    method = get_method("unrolled", model=model, virtual_coils=6)
    result = method(scan.with_maps(espirit(scan.kspace[0], 16)), 0)
    plain = get_method("unrolled", model=model, whitening="none")(scan, 0)
    assert (result.info["coils"], result.info["whitening"]) == (6, "stored")
    inside = plain.image.abs() > 0.5
    torch.testing.assert_close(result.image.abs()[inside], plain.image.abs()[inside], rtol=0.2, atol=0.05)


def test_data_that_a_model_was_not_trained_for_are_told(model: str) -> None:
    scan = scan_of_a_disc(n=96)
    strong = scan.undersample(uniform_mask(96, 8, 16))
    with pytest.warns(UserWarning, match="model tiny is made for acceleration 1 to 3, not 3.6"):
        get_method("unrolled", model=model)(strong, 0)


def test_virtual_coils_are_the_coils_that_a_model_sees(model: str, recwarn: pytest.WarningsRecorder) -> None:
    scan = scan_of_a_disc(coils=12, accel=2)
    with pytest.warns(UserWarning, match="model tiny is made for coils 1 to 8, not 12"):
        get_method("unrolled", model=model)(scan, 0)
    recwarn.clear()
    get_method("unrolled", model=model, virtual_coils=6)(scan, 0)
    assert not recwarn.list


def test_solves_that_do_not_converge_are_told(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_method("unrolled", model=model)(noisy_disc(), 0).info["converged"]
    monkeypatch.setattr(cascade, "MAX_ITERATIONS", 2)
    with pytest.warns(UserWarning, match="SENSE steps of model tiny stopped after 2 CG iterations"):
        assert not get_method("unrolled", model=model)(noisy_disc(), 0).info["converged"]


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no model 'magic'"):
        get_method("unrolled", model="magic")


def test_modl_is_a_cascade_too(tmp_path: Path) -> None:
    path = save_tiny_model(tmp_path / "modl.safetensors", kind="modl", iterations=3)
    result = get_method("unrolled", model=str(path), keep_steps=True)(noisy_disc(), 0)
    assert result.info["cascade"] == "modl" and len(result.info["lam"]) == 3
    assert result.steps is not None
    torch.testing.assert_close(result.steps["x"][-1], result.image)


@pytest.mark.parity
def test_varnet_has_residuals_but_no_lambda(tmp_path: Path, fastmri_package: ModuleType) -> None:
    small = PriorConfig(options={"chans": 2, "pools": 2, "sens_chans": 2, "sens_pools": 2})
    path = save_tiny_model(tmp_path / "varnet.safetensors", kind="varnet", iterations=2, prior=small)
    result = get_method("unrolled", model=str(path), keep_steps=True)(noisy_disc(), 0)
    assert result.trace is not None and [set(record) for record in result.trace] == [{"iteration", "residual"}] * 2
    assert result.info["lam"] == [] and result.info["iterations"] == 0 and result.info["residual"] > 0
    assert result.steps is not None and set(result.steps) == {"z"}
    with trace_files(tmp_path / "t.h5", tmp_path / "t.png", noisy_disc(), "disc") as record:
        record(0, result)
    with h5py.File(tmp_path / "t.h5") as file:
        assert set(file) == {"z", "residual"}
    assert (tmp_path / "t.png").exists()
