from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kascade.data.atomic import atomic_output, refuse_existing
from kascade.errors import FileFormatError, OutputError


def test_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    with atomic_output(path) as beside:
        beside.write_bytes(b"whole")
        assert not path.exists()
        assert beside.parent == tmp_path and beside.name.startswith(".")
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["out.h5"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    with atomic_output(tmp_path / "a") as beside:
        beside.write_bytes(b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("error", [ValueError("bug"), FileFormatError("bad slice"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_failed_block(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, atomic_output(tmp_path / "out.h5") as beside:
        beside.write_bytes(b"half")
        raise error
    assert caught.value is error
    assert os.listdir(tmp_path) == []


def test_existing_output_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=r"out\.h5: exists already; use --force"), atomic_output(path):
        pytest.fail("the block must not run")
    assert path.read_bytes() == b"old"


def test_force_replaces_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="bug"), atomic_output(path, force=True) as beside:
        beside.write_bytes(b"half")
        raise ValueError("bug")
    assert path.read_bytes() == b"old"
    with atomic_output(path, force=True) as beside:
        beside.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.h5"]


def test_output_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    with pytest.raises(OutputError, match="exists already"), atomic_output(path) as beside:
        beside.write_bytes(b"mine")
        path.write_bytes(b"another's")
    assert path.read_bytes() == b"another's"
    assert os.listdir(tmp_path) == ["out.h5"]


def test_a_dangling_link_counts_as_existing(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="exists already"):
        refuse_existing(path)


def test_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder; name an output file"):
        refuse_existing(tmp_path, force=True)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"there is no folder .*missing; create it first"):
        refuse_existing(tmp_path / "missing" / "out.h5")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_disk_full(tmp_path: Path, code: int) -> None:
    with (
        pytest.raises(OutputError, match=r"out\.h5: cannot be written \(the disk is full\); nothing was left there"),
        atomic_output(tmp_path / "out.h5") as beside,
    ):
        beside.write_bytes(b"half")
        raise OSError(code, os.strerror(code))
    assert os.listdir(tmp_path) == []


def test_disk_full_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="the disk is full"), atomic_output(tmp_path / "out.h5") as beside:
        beside.write_bytes(b"all of it")
    assert os.listdir(tmp_path) == []


def test_other_errors_of_the_system_are_told(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"cannot be written \(.*Read-only file system.*\)"),
        atomic_output(tmp_path / "out.h5"),
    ):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_long_name_has_room_beside_it(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    with atomic_output(path) as beside:
        beside.write_bytes(b"x")
    assert path.exists()


def test_a_name_too_long_for_the_system(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="File name too long"):
        refuse_existing(tmp_path / ("n" * 300))
