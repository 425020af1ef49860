"""`kascade convert`."""

from __future__ import annotations

import numpy as np
import torch

from kascade.data import load
from tests.cli.conftest import small_scan


def test_an_array_becomes_a_scan(kascade, tmp_path):
    kspace = small_scan(slices=1).kspace[0].numpy()
    np.save(tmp_path / "array.npy", kspace)
    refused = kascade("convert", tmp_path / "array.npy", tmp_path / "a.h5")
    assert refused.code == 2
    assert "--axes coil,rows,columns" in refused.err
    assert not (tmp_path / "a.h5").exists()

    done = kascade("convert", tmp_path / "array.npy", tmp_path / "a.h5", "--axes", "coil,rows,columns")
    assert done.code == 0
    assert "1 slices, 4 coils, 56 rows x 48 columns" in done.err
    assert torch.equal(load(tmp_path / "a.h5").kspace[0], torch.from_numpy(kspace))


def test_a_folder_is_converted_and_the_bad_file_told_at_the_end(kascade, tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    np.save(source / "good.npy", small_scan().kspace[0].numpy()[None])
    (source / "bad.npy").write_bytes(b"\x93NUMPY and then nothing")
    (source / "README.txt").write_text("no k-space")
    run = kascade("convert", source, out)
    assert run.code == 1
    assert sorted(path.name for path in out.iterdir()) == ["good.h5"]
    assert "README.txt: passed over" in run.err
    last, summary = run.err.splitlines()[-2:]
    assert last.startswith(f"kascade: error: {source / 'bad.npy'}: ")
    assert summary == "kascade: error: 1 of 2 files failed"


def test_a_folder_does_not_become_a_file(kascade, tmp_path, brain):
    run = kascade("convert", brain.parent, tmp_path / "all.h5")
    assert run.code == 2
    assert "is a folder" in run.err
