from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import pytest
import torch

from kascade.data.index import index_folder
from kascade.errors import FileFormatError
from tests.data.h5_files import random_kspace, write_h5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_h5(tmp_path / "b.h5", kspace=random_kspace(3, 2, 8, 6, seed=1))
    write_h5(tmp_path / "a.h5", kspace=random_kspace(2, 2, 8, 6, seed=2))
    write_h5(tmp_path / "c", kspace=random_kspace(1, 2, 8, 6))  # HDF5 whatever its name
    write_h5(tmp_path / "images.h5", reconstruction=torch.ones(2, 4, 4))
    (tmp_path / "fake.h5").write_text("no HDF5")
    (tmp_path / "empty.H5").touch()
    (tmp_path / "notes.txt").write_text("not a scan")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.h5.part").write_text("half")
    (tmp_path / "sub").mkdir()
    (tmp_path / "gone.h5").symlink_to(tmp_path / "nowhere")
    return tmp_path


def test_scans_problems_and_others(folder: Path) -> None:
    index = index_folder(folder)
    assert [scan.name for scan in index.scans] == ["a", "b", "c"]
    assert [path.name for path in index.others] == ["notes.txt", "picture.png"]
    assert {problem.path.name: problem.message.split(": ", 1)[1].split(";")[0] for problem in index.problems} == {
        "empty.H5": "empty file",
        "fake.h5": "not HDF5, whatever its name says (no signature)",
        "gone.h5": "no such file",
        "images.h5": "no data set kspace",
    }
    assert len(index) == 6
    assert [(scan.name, number) for scan, number in index.slices()] == [
        *(("a", number) for number in range(2)),
        *(("b", number) for number in range(3)),
        ("c", 0),
    ]


def test_only_hdf5_is_opened_and_no_sample_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, read = [], []
    init, getitem = h5py.File.__init__, h5py.Dataset.__getitem__

    def note_file(self: h5py.File, name: object, *args: object, **kwargs: object) -> None:
        if isinstance(name, str | Path):  # h5py makes further objects of a file that is open
            opened.append(Path(name).name)
        init(self, name, *args, **kwargs)

    def note_read(self: h5py.Dataset, *args: object) -> object:
        read.append(self.name)
        return getitem(self, *args)

    monkeypatch.setattr(h5py.File, "__init__", note_file)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", note_read)
    index = index_folder(folder)
    assert set(opened) == {"a.h5", "b.h5", "c", "images.h5"}
    assert read == []
    index.scans[0].kspace[0]
    assert read == ["/kspace"]


def test_survives_what_happens_to_the_folder_later(folder: Path) -> None:
    index = pickle.loads(pickle.dumps(index_folder(folder)))
    write_h5(folder / "later.h5", kspace=random_kspace(1, 2, 8, 6))
    assert [scan.name for scan in index.scans] == ["a", "b", "c"]
    assert torch.equal(index.scans[1].kspace[2], random_kspace(3, 2, 8, 6, seed=1)[2])


@pytest.mark.parametrize(("name", "reason"), [("missing", "No such file"), ("notes.txt", "Not a directory")])
def test_no_folder(folder: Path, name: str, reason: str) -> None:
    with pytest.raises(FileFormatError, match=rf"{name}: not a readable folder \({reason}"):
        index_folder(folder / name)


def test_empty_folder(tmp_path: Path) -> None:
    index = index_folder(tmp_path)
    assert len(index) == 0 and index.scans == index.problems == index.others == ()
