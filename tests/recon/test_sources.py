"""Which files of a folder are k-space."""

from __future__ import annotations

import pytest

from kascade.errors import ConfigError, FileFormatError
from kascade.recon.sources import find_sources, result_name


def touch(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"")
    return [folder / name for name in names]


def test_known_kinds_in_order_without_headers_and_hidden_files(tmp_path):
    touch(tmp_path, "b.h5", "a.cfl", "a.hdr", "c.npy", ".hidden.h5", "notes.txt", "lonely.hdr")
    (tmp_path / "folder.h5").mkdir()
    found = find_sources([tmp_path])
    assert [path.name for path in found.files] == ["a.cfl", "b.h5", "c.npy"]
    assert [path.name for path in found.ignored] == ["lonely.hdr", "notes.txt"]


def test_hdf5_of_any_name_is_found_by_its_content(tmp_path):
    (tmp_path / "scan.raw").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert find_sources([tmp_path]).files == (tmp_path / "scan.raw",)


def test_a_named_file_is_taken_whatever_it_is(tmp_path):
    assert find_sources([tmp_path / "absent.xyz"]).files == (tmp_path / "absent.xyz",)


def test_two_results_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "a.h5", "a.npy")
    with pytest.raises(ConfigError, match=r"a.h5 and .*a.npy would both be written as a;"):
        find_sources([tmp_path])


def test_a_folder_without_kspace(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(FileFormatError, match="no k-space in this folder"):
        find_sources([tmp_path])


@pytest.mark.parametrize(
    ("file", "name"), [("a.h5", "a"), ("a.b.cfl", "a.b"), ("a.hdr", "a"), ("stem", "stem"), ("v1.2", "v1.2")]
)
def test_result_name(file, name):
    assert result_name(file) == name
