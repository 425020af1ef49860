"""Options that commands share."""

from __future__ import annotations

import pytest
import torch

from kascade.cli.options import undersampling
from kascade.data.masks import MaskSpec
from kascade.errors import ConfigError


def test_no_acceleration_no_undersampling():
    assert undersampling(None, None, None, None, None) is None


def test_uniform_by_default():
    assert undersampling(4, 24, None, None, None) == MaskSpec("uniform", 4, 24)
    assert undersampling(4, None, "random", 0.08, 3) == MaskSpec("random", 4, None, 0.08, 3)


@pytest.mark.parametrize(
    ("position", "value", "name"),
    [(1, 24, "--acs"), (2, "random", "--mask"), (3, 0.1, "--center-fraction"), (4, 0, "--seed")],
)
def test_an_option_of_a_mask_needs_an_acceleration(position, value, name):
    options = [None] * 5
    options[position] = value
    with pytest.raises(ConfigError, match=f"{name} undersamples retrospectively and needs --accel"):
        undersampling(*options)


@pytest.mark.parametrize(
    "device", ["warp", pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="it is there"))]
)
def test_a_device_that_is_not_there(kascade, brain, tmp_path, device):
    run = kascade("recon", brain, "-o", tmp_path / "out", "--device", device)
    assert run.code == 2
    assert f"--device {device}: not available" in run.err and run.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.gpu
def test_cuda_gives_what_the_cpu_gives(kascade, brain, tmp_path):
    from kascade.data import read_images

    for device in ("cpu", "cuda"):
        command = ("recon", brain, "-o", tmp_path / device, "--accel", 2, "--acs", 16, "--device", device)
        assert kascade(*command).code == 0
    cpu, cuda = (read_images(tmp_path / device / "brain.h5")[0] for device in ("cpu", "cuda"))
    torch.testing.assert_close(cuda, cpu, rtol=1e-3, atol=1e-3 * float(cpu.max()))
