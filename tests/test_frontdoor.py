"""The front door: its names are found, and neither it nor `--help` waits for a heavy package."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import kascade

HEAVY = ("torch", "numpy", "scipy", "h5py", "matplotlib", "skimage", "sigpy", "nibabel")


def heavy_modules_after(code: str) -> list[str]:
    """Which of HEAVY a fresh interpreter has imported when it has run `code`."""
    report = f"import sys\n{code}\nprint('IMPORTED', *(m for m in {HEAVY} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[-1].split()[1:]


def test_the_check_sees_a_heavy_import() -> None:
    assert heavy_modules_after("import numpy") == ["numpy"]


def test_import_is_light() -> None:
    assert heavy_modules_after("import kascade; dir(kascade)") == []


@pytest.mark.parametrize("command", ["", "recon", "bench speed"])
def test_help_is_light(command: str) -> None:
    code = (
        "from kascade.cli.main import main\n"
        f"try:\n    main({[*command.split(), '--help']!r})\n"
        "except SystemExit as end:\n    assert end.code == 0"
    )
    assert heavy_modules_after(code) == []


def test_every_public_name_is_found() -> None:
    for name in kascade.__all__:
        assert getattr(kascade, name) is not None
        assert name in dir(kascade)


def test_lazy_names_and_typed_names_are_the_same() -> None:
    source = Path(kascade.__file__).read_text(encoding="utf-8")
    block = source.split("if TYPE_CHECKING:")[1].split("\n\n")[0]
    typed = dict.fromkeys(kascade._HOME, "")
    for home, names in re.findall(r"from (\S+) import (.+)", block):
        typed.update(dict.fromkeys(names.split(", "), home))
    assert typed == kascade._HOME
    assert {*kascade._HOME, "__version__"} == set(kascade.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = kascade.nonsense


def test_version_is_that_of_the_package() -> None:
    assert version("kascade") == kascade.__version__
