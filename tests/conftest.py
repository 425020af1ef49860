"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of measured MRI data, named by the environment variable KASCADE_DATA."""
    folder = os.environ.get("KASCADE_DATA")
    if not folder:
        pytest.skip("KASCADE_DATA is unset: it names the folder of real k-space that this test reads")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"KASCADE_DATA={folder} is not a folder")
    return path


@pytest.fixture(scope="session")
def fastmri_package() -> ModuleType:
    """Facebook's `fastmri`; in CI a missing package is a failure, elsewhere a skip."""
    try:
        return importlib.import_module("fastmri")
    except ImportError:
        message = "the fastmri package is not installed: pip install --no-deps fastmri==0.3.0 requests"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
