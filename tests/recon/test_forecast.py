"""What a reconstruction will need."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from kascade.benchmarks.tensor_memory import peak_tensor_bytes
from kascade.data import Scan, write_scan
from kascade.errors import KascadeError
from kascade.recon import get_method
from kascade.recon.forecast import forecast, plain_memory_errors, slice_bytes
from kascade.recon.plan import Plan
from kascade.recon.run import reconstruct_file
from kascade.recon.setup import Setup
from tests.battery import random_complex


def noise_scan(coils: int, rows: int, columns: int) -> Scan:
    mask = torch.zeros(columns)
    mask[::4] = mask[columns // 2 - 12 : columns // 2 + 12] = 1
    y = random_complex(1, coils, rows, columns, dtype=torch.complex64)
    return Scan.from_arrays(y * mask, mask=mask, name="noise")


@pytest.mark.parametrize(
    ("coils", "matrix", "options"),
    [(4, (64, 48), {}), (8, (96, 80), {}), (6, (96, 80), {"sets": 2}), (8, (96, 80), {"virtual_coils": 4})],
)
def test_the_estimate_is_rather_too_much_than_too_little(
    coils: int, matrix: tuple[int, int], options: dict[str, Any]
) -> None:
    scan, method = noise_scan(coils, *matrix), get_method("sense", **options)
    needed = peak_tensor_bytes(lambda: method(scan, 0))
    assert needed <= slice_bytes(scan, method.setup) < 2.5 * needed


def test_maps_that_are_there_need_no_calibration() -> None:
    scan = noise_scan(8, 48, 48)
    with_maps = scan.with_maps(scan.kspace[0][None])
    assert slice_bytes(with_maps, Setup()) < slice_bytes(scan, Setup()) < slice_bytes(scan, Setup(sets=2))
    assert slice_bytes(scan, Setup(virtual_coils=4)) < slice_bytes(scan, Setup())


def test_a_forecast(tmp_path: Path) -> None:
    write_scan(noise_scan(4, 64, 48), tmp_path / "a.h5")
    found = forecast(tmp_path / "a.h5", Plan("sense"))
    assert (found.slices, found.coils, found.matrix, found.method) == (1, 4, (64, 48), "sense")
    assert found.cells()[0] == "a.h5" and found.cells()[-1].endswith("MiB")
    assert (
        dataclasses.replace(found, method="unrolled", slice_bytes=3 * 2**30).cells()[-1] == "3.0 GiB and the network's"
    )


def test_out_of_memory_is_told_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scan(noise_scan(4, 64, 48), tmp_path / "a.h5")

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nGPU 0 ...")

    monkeypatch.setattr("kascade.recon.setup.espirit", full)
    with pytest.raises(KascadeError, match=r"a\.h5, slice 0: cpu is out of memory: 4 coils x 64 x 48.*fewer --virtual"):
        reconstruct_file(tmp_path / "a.h5", tmp_path / "out", Plan("sense"))
    assert not list((tmp_path / "out").glob("a.*"))
    with pytest.raises(ValueError, match="other"), plain_memory_errors(noise_scan(1, 48, 48), Setup()):
        raise ValueError("other")


def test_shots_are_looked_for_before_a_run_that_needs_them(tmp_path: Path) -> None:
    scan, plan = noise_scan(2, 24, 48), Plan("sense", options={"motion": "estimate"})
    write_scan(scan, tmp_path / "none.h5")
    with pytest.raises(KascadeError, match=r"none\.h5.*no shot information"):
        forecast(tmp_path / "none.h5", plan)
    shots = torch.arange(48) % 4
    write_scan(dataclasses.replace(scan, shots=shots), tmp_path / "all.h5")
    assert forecast(tmp_path / "all.h5", plan).coils == 2
    write_scan(dataclasses.replace(scan, shots=torch.where(shots > 0, shots, -1)), tmp_path / "few.h5")
    with pytest.raises(KascadeError, match=r"columns .* belong to no shot"):
        forecast(tmp_path / "few.h5", plan)
