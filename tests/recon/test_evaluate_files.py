"""Evaluation of files: equal to fastmri.evaluate on folders, targets of every kind, errors that name the file."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kascade.data import Header, Scan, write_scan
from kascade.errors import ConfigError, FileFormatError, ShapeError
from kascade.physics.fourier import fft
from kascade.recon.evaluate_files import evaluate_files, read_target

METRICS = ("nmse", "psnr", "ssim")


def image(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0.1, 1, shape or (2, 16, 12)).astype(np.float32)


def write(path: Path, **datasets: NDArray[np.generic]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name] = data
    return path


def kspace_file(path: Path, columns_left_out: slice | None = None, header: Header | None = None) -> torch.Tensor:
    """A two-slice scan in a file; returns the RSS of its coils."""
    path.parent.mkdir(exist_ok=True)
    coils = torch.randn(2, 3, 16, 12, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    kspace = fft(coils)
    if columns_left_out is not None:
        kspace[..., columns_left_out] = 0
    write_scan(Scan.from_arrays(kspace, header=header), path)
    return coils.abs().square().sum(1).sqrt()


@pytest.mark.parity
@pytest.mark.parametrize("key", ["reconstruction_rss", "reconstruction_esc"])
@pytest.mark.parametrize("sizes", [((24, 20), (24, 20)), ((20, 20), (20, 20)), ((20, 20), (32, 26))])
def test_equals_fastmri_evaluate_on_folders(
    fastmri_package: ModuleType, tmp_path: Path, key: str, sizes: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    for n in range(3):
        target = image(n, 2 + n, *sizes[0]) * 10.0 ** (n - 4)
        recon = image(n + 10, 2 + n, *sizes[1]) * target.max()
        write(tmp_path / "targets" / f"file{n}.h5", **{key: target})
        write(tmp_path / "recon" / f"file{n}.h5", reconstruction=recon)
    peer = importlib.import_module(f"{fastmri_package.__name__}.evaluate")
    options = argparse.Namespace(
        target_path=tmp_path / "targets", predictions_path=tmp_path / "recon", acquisition=None, acceleration=None
    )
    means = {name: float(np.squeeze(value)) for name, value in peer.evaluate(options, key).means().items()}
    result = evaluate_files(tmp_path / "recon", tmp_path / "targets")
    assert list(result["volumes"]) == ["file0", "file1", "file2"]
    assert result["notes"] == []
    assert result["problems"] == {}
    for metric in METRICS:
        assert result["mean"][metric] == pytest.approx(means[metric.upper()], rel=1e-6)


@pytest.mark.parity
def test_where_fastmri_fails_whole_frames_are_compared_and_a_note_says_so(
    fastmri_package: ModuleType, tmp_path: Path
) -> None:
    target = image(0, 2, 12, 16)
    write(tmp_path / "targets" / "a.h5", reconstruction_rss=target)
    write(tmp_path / "recon" / "a.h5", reconstruction=2 * target)
    options = argparse.Namespace(
        target_path=tmp_path / "targets", predictions_path=tmp_path / "recon", acquisition=None, acceleration=None
    )
    with pytest.raises(ValueError, match="Invalid shapes"):
        importlib.import_module(f"{fastmri_package.__name__}.evaluate").evaluate(options, "reconstruction_rss")
    result = evaluate_files(tmp_path / "recon", tmp_path / "targets")
    assert result["volumes"]["a"]["nmse"] == pytest.approx(1)
    assert "a: whole frames compared" in result["notes"][0]


def test_result_holds_the_three_metrics_per_volume_and_their_mean(tmp_path: Path) -> None:
    for n, factor in enumerate((1.5, 3.0)):
        write(tmp_path / "targets" / f"{n}.h5", reconstruction_rss=image(n))
        write(tmp_path / "recon" / f"{n}.h5", reconstruction=factor * image(n))
    result = evaluate_files(tmp_path / "recon", tmp_path / "targets")
    assert [set(v) for v in (*result["volumes"].values(), result["mean"])] == [set(METRICS)] * 3
    assert [result["volumes"][n]["nmse"] for n in "01"] == pytest.approx([0.25, 4.0])
    assert result["mean"]["nmse"] == pytest.approx(4.25 / 2)


def test_no_crop_compares_whole_frames(tmp_path: Path) -> None:
    target = image(0)
    recon = target.copy()
    recon[:, 0] += 1  # outside columns x columns
    write(tmp_path / "r.h5", reconstruction=recon)
    write(tmp_path / "t.h5", reconstruction_rss=target)
    assert evaluate_files(tmp_path / "r.h5", tmp_path / "t.h5")["mean"]["nmse"] == 0
    whole = evaluate_files(tmp_path / "r.h5", tmp_path / "t.h5", crop=False)
    assert whole["mean"]["nmse"] > 0
    assert whole["notes"] == []


def test_complex_reconstructions_count_by_magnitude(tmp_path: Path) -> None:
    phase = np.exp(1j * image(3))
    write(tmp_path / "r.h5", reconstruction=(1.5 * image(0) * phase).astype(np.complex64))
    write(tmp_path / "t.h5", reconstruction_rss=image(0))
    assert evaluate_files(tmp_path / "r.h5", tmp_path / "t.h5")["mean"]["nmse"] == pytest.approx(0.25, rel=1e-5)


def test_fully_sampled_kspace_is_a_target(tmp_path: Path) -> None:
    full = kspace_file(tmp_path / "t.h5")
    assert read_target(tmp_path / "t.h5") == pytest.approx(full.numpy(), rel=1e-5)
    write(tmp_path / "r.h5", reconstruction=1.5 * full.numpy())
    assert evaluate_files(tmp_path / "r.h5", tmp_path / "t.h5")["mean"]["nmse"] == pytest.approx(0.25, rel=1e-4)


def test_kspace_target_is_cropped_to_the_recon_matrix(tmp_path: Path) -> None:
    full = kspace_file(tmp_path / "t.h5", header=Header(encoded_matrix=(16, 12, 1), recon_matrix=(8, 8, 1)))
    assert read_target(tmp_path / "t.h5") == pytest.approx(full[:, 4:12, 2:10].numpy(), rel=1e-5)


def test_columns_outside_the_encoding_limits_do_not_make_it_undersampled(tmp_path: Path) -> None:
    header = Header(encoded_matrix=(16, 12, 1), phase_limits=(0, 4, 9))
    left, right = header.padding(12)
    assert (left, right) == (2, 12)
    kspace_file(tmp_path / "t.h5", columns_left_out=slice(0, 2), header=header)
    assert read_target(tmp_path / "t.h5").shape == (2, 16, 12)


def test_undersampled_kspace_is_no_target(tmp_path: Path) -> None:
    kspace_file(tmp_path / "t.h5", columns_left_out=slice(1, None, 2))
    with pytest.raises(FileFormatError, match=r"t\.h5: its k-space is undersampled \(acceleration 2\.00\)"):
        read_target(tmp_path / "t.h5")


def test_stored_target_comes_before_kspace_and_esc_first_for_one_coil(tmp_path: Path) -> None:
    stored = {"reconstruction_rss": image(1), "reconstruction_esc": image(2)}
    one = np.ones((2, 16, 12), np.complex64)
    assert np.array_equal(read_target(write(tmp_path / "one.h5", kspace=one, **stored)), image(2))
    several = np.ones((2, 3, 16, 12), np.complex64)
    assert np.array_equal(read_target(write(tmp_path / "several.h5", kspace=several, **stored)), image(1))


def test_a_target_may_be_of_any_format_that_load_reads(tmp_path: Path) -> None:
    kspace = torch.randn(3, 16, 12, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "t.npy", kspace[None].numpy())
    write(tmp_path / "r.h5", reconstruction=2 * read_target(tmp_path / "t.npy"))
    result = evaluate_files(tmp_path / "r.h5", tmp_path / "t.npy")
    assert result["volumes"]["t"]["nmse"] == pytest.approx(1)


def folders(tmp_path: Path, recon: str, target: str) -> tuple[Path, Path]:
    for name in recon:
        write(tmp_path / "recon" / f"{name}.h5", reconstruction=2 * image(ord(name)))
    for name in target:
        write(tmp_path / "targets" / f"{name}.h5", reconstruction_rss=image(ord(name)))
    return tmp_path / "recon", tmp_path / "targets"


def test_a_target_without_reconstruction_is_a_problem_and_the_others_are_done(tmp_path: Path) -> None:
    result = evaluate_files(*folders(tmp_path, "ac", "abc"))
    assert list(result["volumes"]) == ["a", "c"]
    assert "no reconstruction b.h5" in result["problems"]["b"]


def test_a_reconstruction_without_target_is_noted(tmp_path: Path) -> None:
    result = evaluate_files(*folders(tmp_path, "abc", "a"))
    assert list(result["volumes"]) == ["a"]
    assert "no target for b, c" in result["notes"][0]


def test_other_files_of_the_folders_are_left_alone(tmp_path: Path) -> None:
    recon, target = folders(tmp_path, "a", "a")
    (recon / "a.json").write_text("{}")
    (recon / "a.png").write_bytes(b"\x89PNG")
    (target / ".hidden.h5").write_bytes(b"")
    assert list(evaluate_files(recon, target)["volumes"]) == ["a"]


def test_one_file_against_a_folder_finds_its_partner(tmp_path: Path) -> None:
    recon, target = folders(tmp_path, "ab", "abc")
    assert evaluate_files(recon / "b.h5", target)["volumes"].keys() == {"b"}
    assert evaluate_files(recon, target / "b.h5")["volumes"].keys() == {"b"}


def test_bad_volumes_of_a_folder_are_named_and_the_others_are_done(tmp_path: Path) -> None:
    recon, target = folders(tmp_path, "abcd", "abcd")
    write(recon / "a.h5", reconstruction=image(0, 2, 9, 9))
    write(target / "b.h5", reconstruction_rss=np.zeros((2, 16, 12), np.float32))
    (recon / "c.h5").write_bytes(b"\x89HDF\r\n\x1a\n broken")
    result = evaluate_files(recon, target)
    assert list(result["volumes"]) == ["d"]
    assert "reconstruction is (2, 9, 9)" in result["problems"]["a"]
    assert "b.h5" in result["problems"]["b"]
    assert "target is nowhere positive" in result["problems"]["b"]
    assert "c.h5" in result["problems"]["c"]


def test_two_files_that_cannot_be_compared_raise_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path / "t.h5", reconstruction_rss=image(0))
    write(tmp_path / "r.h5", reconstruction=image(0, 3, 16, 12))
    with pytest.raises(ShapeError, match=r"r\.h5 against .*t\.h5: reconstruction is \(3, 12, 12\)"):
        evaluate_files(tmp_path / "r.h5", tmp_path / "t.h5")
    write(tmp_path / "zero.h5", reconstruction_rss=0 * image(0))
    with pytest.raises(ConfigError, match="target is nowhere positive"):
        evaluate_files(write(tmp_path / "r2.h5", reconstruction=image(1)), tmp_path / "zero.h5")
    with pytest.raises(FileFormatError, match=r"t\.h5: no data set reconstruction; it holds reconstruction_rss"):
        evaluate_files(tmp_path / "t.h5", tmp_path / "t.h5")


def test_paths_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    recon, target = folders(tmp_path, "a", "b")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match=r"nothing to compare .*no reconstruction b\.h5"):
        evaluate_files(recon, target)
    with pytest.raises(FileFormatError, match="empty: no HDF5 or NIfTI file in this folder"):
        evaluate_files(recon, tmp_path / "empty")
    for pair in (
        (tmp_path / "none.h5", target / "b.h5"),
        (recon / "a.h5", tmp_path / "none.h5"),
        (recon, tmp_path / "none"),
    ):
        with pytest.raises(FileFormatError, match=r"none.*no such file"):
            evaluate_files(*pair)
