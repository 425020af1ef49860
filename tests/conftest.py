"""Fixtures and collection rules shared by all tests."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

# The images of tests are small: on a busy machine, threads that wait for each other cost many times what they give.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: a slow machine is no bug. CI draws the same examples every time, so that a change is not judged by luck;
# elsewhere each run tries new ones.
settings.register_profile("kascade", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "kascade")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that read measured data, and skip those whose program or device this machine lacks."""
    no_bart = pytest.mark.skip(reason="the bart program is not installed: apt-get install bart")
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)
        if item.get_closest_marker("bart") and shutil.which("bart") is None:
            item.add_marker(no_bart)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked gpu where torch sees no CUDA device."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device")


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
        message = (
            "the fastmri package is not installed: "
            "pip install --no-deps fastmri==0.3.0 && pip install pandas requests runstats tqdm"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
