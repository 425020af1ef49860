"""Files that belong together appear together or not at all."""

from __future__ import annotations

import errno

import pytest

from kascade.errors import OutputError
from kascade.recon.outputs import all_or_none, make_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_all_appear_when_the_block_ends(tmp_path):
    paths = [tmp_path / "a.h5", tmp_path / "a.json"]
    with all_or_none(paths) as places:
        assert [place.name for place in places] == ["a.h5", "a.json"]
        for place in places:
            place.write_text(place.name)
        assert not any(path.exists() for path in paths)
    assert [path.read_text() for path in paths] == ["a.h5", "a.json"]
    assert names(tmp_path) == ["a.h5", "a.json"]


def test_none_appears_when_the_block_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), all_or_none([tmp_path / "a", tmp_path / "b"]) as places:
        places[0].write_text("done")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_none_appears_when_one_was_not_written(tmp_path):
    with pytest.raises(OutputError, match="nothing was left"), all_or_none([tmp_path / "a", tmp_path / "b"]) as places:
        places[0].write_text("done")
    assert names(tmp_path) == []


def test_a_full_disk_is_told_in_one_line(tmp_path):
    message = r"a: cannot be written \(No space left on device\); nothing was left there"
    with pytest.raises(OutputError, match=message), all_or_none([tmp_path / "a"]):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_an_error_names_the_final_file(tmp_path):
    with pytest.raises(OutputError) as caught, all_or_none([tmp_path / "a", tmp_path / "b"]) as places:
        raise OutputError(f"{places[1]}: cannot be written (the disk is full); nothing was left there")
    assert str(caught.value) == f"{tmp_path / 'b'}: cannot be written (the disk is full); nothing was left there"
    assert names(tmp_path) == []


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    (tmp_path / "b").write_text("old")
    paths = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(OutputError, match="b: exists already"), all_or_none(paths):
        pytest.fail("the block must not run")
    assert (tmp_path / "b").read_text() == "old"
    with all_or_none(paths, force=True) as places:
        for place in places:
            place.write_text("new")
    assert [path.read_text() for path in paths] == ["new", "new"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(OutputError, match="b: exists already"), all_or_none(paths) as places:
        for place in places:
            place.write_text("mine")
        paths[1].write_text("of another process")
    assert names(tmp_path) == ["b"]
    assert paths[1].read_text() == "of another process"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made a folder"):
        make_folder(tmp_path / "file" / "out")


def test_files_of_several_folders_appear_together(tmp_path):
    """Each is written beside its place, so that the folders may lie on different disks."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    paths = [folder / "x.h5" for folder in folders]
    with pytest.raises(ZeroDivisionError), all_or_none(paths) as places:
        assert [place.parents[2] for place in places] == folders
        raise ZeroDivisionError
    assert names(folders[0]) == names(folders[1]) == []
    with all_or_none(paths) as places:
        for place in places:
            place.write_text("done")
    assert names(folders[0]) == names(folders[1]) == ["x.h5"]
