"""Priors by name: ours, those of an installed package, and packages that are broken or want a taken name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import kascade
from kascade.errors import ConfigError
from kascade.unroll.registry import _OURS, GROUP, make_prior, priors
from tests.battery import random_complex

SINGLE = torch.complex64
SMALL = {
    "unet": {"channels": 2, "levels": 1},
    "resunet": {"channels": 2, "levels": 1, "blocks": 1},
    "restormer": {"width": 8, "blocks": (1, 1, 1, 1), "refinement": 1},
    "residual-cnn": {"channels": 2, "layers": 2},
    "transmrsr": {"size": 16, "width": 8, "max_width": 16, "latent": 8},
    "cag": {"width": 8, "blocks": (1, 1, 1, 1), "refinement": 1},
    "identity": {},
}
MODULE = '''
import torch
from torch import nn

from kascade.unroll import Prior, as_prior


class Scale(nn.Module):
    """Multiplies by a number.

    More about it.
    """

    stride = 2

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return self.factor * x


def ready(factor=3.0):
    return as_prior(Scale(factor), channels="magnitude")


def number():
    """Not a network."""
    return 7


CONSTANT = 7
'''


def install(folder: Path, package: str, module: str, points: dict[str, str]) -> Path:
    """A wheel of one module, installed by pip into a folder of its own."""
    name, info = package.replace("-", "_"), f"{package.replace('-', '_')}-1.0.dist-info"
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    files = {
        f"{name}.py": module,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[{GROUP}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()),
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    target = folder / f"site-{package}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("channels", ["complex", "magnitude", "slices"])
def test_our_priors_are_built_for_all_channels(name: str, channels: str) -> None:
    torch.manual_seed(0)
    x = random_complex(3, 9, 11, dtype=SINGLE)
    prior = make_prior(name, channels, options=SMALL[name])
    assert prior.channels == channels and prior(x).shape == x.shape
    assert bool(prior(x).isfinite().all())


def test_all_of_ours_are_tested_listed_and_declared() -> None:
    listed = priors()
    assert set(SMALL) == set(_OURS) and set(_OURS) <= set(listed)
    assert all(line and "\n" not in line for line in listed.values())
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    table = project.split(f'[project.entry-points."{GROUP}"]')[1].split("\n[")[0]
    assert dict(re.findall(r'^(\S+) = "(.+)"$', table, re.MULTILINE)) == _OURS


def test_adapter_settings_and_given_widths() -> None:
    prior = make_prior("unet", size=16, stride=4, options={**SMALL["unet"], "in_channels": 2, "out_channels": 4})
    assert (prior.size, prior.stride) == (16, 4)
    assert isinstance(prior.network, nn.Module) and prior.network.last.out_channels == 4


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gan", {}, r"no prior 'gan'; choose one of unet, resunet, restormer"),
        ("unet", {"depth": 3}, r"refuses the options .*'depth'.*it takes in_channels, out_channels, channels, levels"),
        ("unet", {"channels": "many"}, r"prior 'unet' refuses the options"),
        ("unet", {"channels": -4}, r"prior 'unet' refuses the options .*negative dimension"),
        ("resunet", {"levels": -1}, r"prior 'resunet' refuses the options"),
        ("residual-cnn", {"layers": 1}, r"layers must be 2 or more"),
        ("identity", {"channels": 3}, r"it takes none"),
    ],
)
def test_wrong_names_and_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_prior(name, options=options)


def test_the_prior_of_an_installed_package_is_found_and_used(tmp_path: Path) -> None:
    """In a fresh interpreter, as a user would meet it."""
    target = install(tmp_path, "tiny-priors", MODULE, {"scale": "tiny_priors:Scale"})
    code = (
        "import torch, kascade as ka\n"
        "from kascade.unroll import CascadeConfig, build_cascade\n"
        "assert ka.priors()['scale'] == 'Multiplies by a number.', ka.priors()\n"
        "prior = {'name': 'scale', 'options': {'factor': 0.5}}\n"
        "model = build_cascade(CascadeConfig(prior=prior, iterations=1, lam=2.0))\n"
        "maps = torch.full((4, 6, 8), 0.5, dtype=torch.complex64)\n"
        "E = ka.Encoding(maps)\n"
        "x = torch.randn(6, 8, dtype=torch.complex64)\n"
        "expected = 0.5 * x / (1 + 1 / 16)\n"
        "torch.testing.assert_close(model(E, E(x)).image, expected, rtol=1e-3, atol=1e-3)\n"
        "print('used')"
    )
    path = os.pathsep.join([str(target), str(Path(kascade.__file__).parents[1])])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert run.stdout.strip() == "used", run.stderr


def test_broken_packages_do_not_break_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {"scale": "fine_priors:Scale", "ready": "fine_priors:ready", "number": "fine_priors:number"}
    monkeypatch.syspath_prepend(install(tmp_path, "fine-priors", MODULE, points))
    broken = {"lost": "broken_priors:Lost", "absent": "no_such_module:Net", "constant": "fine_priors:CONSTANT"}
    monkeypatch.syspath_prepend(install(tmp_path, "broken-priors", "raise RuntimeError('no license\\nserver')", broken))
    listed = priors()
    assert set(listed) == {*_OURS, *points, *broken}
    assert listed["scale"] == "Multiplies by a number." and "RuntimeError: no license" in listed["lost"]
    x = random_complex(5, 7, dtype=SINGLE)
    torch.testing.assert_close(make_prior("scale")(x), 2 * x)
    ready = make_prior("ready", options={"factor": 4.0})
    assert ready.channels == "magnitude"
    torch.testing.assert_close(ready(x), 4 * x)
    for name, message in {
        "lost": r"'lost' of the package broken-priors cannot be loaded from broken_priors:Lost: RuntimeError: no",
        "absent": r"package broken-priors.*No module named 'no_such_module'",
        "constant": "is not callable",
        "number": "gave int, expected an nn.Module",
    }.items():
        with pytest.raises(ConfigError, match=message) as caught:
            make_prior(name)
        assert "\n" not in str(caught.value)


def test_a_taken_name_needs_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(install(tmp_path, "other-unet", MODULE, {"unet": "other_unet:Scale"}))
    assert type(make_prior("unet", options=SMALL["unet"]).network).__module__ == "kascade.nets.unet"
    assert type(make_prior("other-unet:unet").network).__module__ == "other_unet"
    assert "other-unet:unet" in priors()
