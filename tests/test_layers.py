"""Imports run downwards only: the rules of CONTRIBUTING.md, "Layout", read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kascade

PACKAGE = Path(kascade.__file__).parent
# A room imports from itself and from rooms of a lower level; rooms of one level know nothing of each other.
LEVEL = {
    "cli": 6,
    "benchmarks": 5,
    "train": 4,
    "recon": 3,
    "unroll": 2,
    "nets": 1,
    "data": 1,
    "physics": 0,
    "report": 0,
}
MAY_USE_THE_FRONT_DOOR = {"cli", "benchmarks"}  # they lie above all that it shows
ANY_ROOM_MAY_IMPORT = {"kascade.errors"}
TORCH_ONLY = "nets"  # and the standard library


def imported_names(source: str, module: str) -> set[str]:
    """Absolute dotted names that `source`, the text of `module`, imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(module.split(".")[: -node.level]) if node.level else ""
            base = ".".join(part for part in (package, node.module) if part)
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def violations(source: str, module: str) -> list[str]:
    """The imports of `module` that break a rule, as sentences."""
    room = module.split(".")[1]
    found = []
    for name in sorted(imported_names(source, module)):
        parts = name.split(".")
        if parts[0] != "kascade":
            if room == TORCH_ONLY and parts[0] in THIRD_PARTY:
                found.append(f"{module}: nets imports torch only, not {name}")
            continue
        if name == "kascade.__version__" or ".".join(parts[:2]) in ANY_ROOM_MAY_IMPORT:
            continue
        target = parts[1] if len(parts) > 1 else ""
        if target == room or (target not in LEVEL and room in MAY_USE_THE_FRONT_DOOR):
            continue
        if room == TORCH_ONLY:
            found.append(f"{module}: nets imports torch only, not {name}")
        elif target not in LEVEL:
            found.append(f"{module}: imports the front door ({name}), name the room instead")
        elif LEVEL[target] >= LEVEL[room]:
            found.append(f"{module}: {room} may not import {name}")
    return found


THIRD_PARTY = {
    "numpy",
    "scipy",
    "h5py",
    "sigpy",
    "pywt",
    "skimage",
    "nibabel",
    "pydantic",
    "yaml",
    "typer",
    "rich",
    "matplotlib",
    "safetensors",
    "defusedxml",
}


def modules() -> list[tuple[str, Path]]:
    """Every module that lies in a room."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if len(parts) > 2:
            found.append((".".join(parts), path))
    return found


def test_every_room_has_a_level() -> None:
    rooms = {name.split(".")[1] for name, _ in modules()}
    assert {"physics", "data", "cli"} <= rooms <= set(LEVEL)


def test_imports_run_downwards() -> None:
    broken = [line for name, path in modules() for line in violations(path.read_text(encoding="utf-8"), name)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kascade.physics.solver", "from kascade.data.scan import Scan"),
        ("kascade.physics.solver", "from ..report import metrics"),
        ("kascade.report.figures", "def f():\n    import kascade.physics.rss"),
        ("kascade.data.scan", "from kascade import recon"),
        ("kascade.data.scan", "import kascade as ka"),
        ("kascade.data.scan", "from kascade.nets.unet import UNet"),
        ("kascade.recon.sense", "from kascade.cli.console import note"),
        ("kascade.nets.unet", "import numpy as np"),
        ("kascade.nets.unet", "from kascade.physics.rss import rss"),
    ],
)
def test_a_broken_rule_is_found(module: str, source: str) -> None:
    assert violations(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kascade.physics.solver", "import numpy as np\nfrom .operator import LinearOperator"),
        ("kascade.physics.solver", "from kascade.errors import ShapeError"),
        ("kascade.recon.sense", "from kascade.physics import espirit"),
        ("kascade.cli.main", "from kascade import __version__"),
        ("kascade.nets.unet", "import torch.nn as nn\nimport math"),
    ],
)
def test_a_kept_rule_is_accepted(module: str, source: str) -> None:
    assert not violations(source, module)
