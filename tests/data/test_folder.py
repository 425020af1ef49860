"""The files of a folder."""

from __future__ import annotations

import pytest

from kascade.data.folder import visible_files
from kascade.errors import FileFormatError


def test_files_in_order_without_hidden_ones_and_folders(tmp_path):
    for name in ("b.h5", "a", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert visible_files(tmp_path) == [tmp_path / "a", tmp_path / "b.h5"]


@pytest.mark.parametrize("name", ["absent", "file"])
def test_what_is_no_folder_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(FileFormatError, match=f"{name}: not a readable folder"):
        visible_files(tmp_path / name)
