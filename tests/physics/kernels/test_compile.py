"""NVRTC compiles every kernel for the GPUs that count; it needs neither a GPU nor a driver."""

from __future__ import annotations

import os
from types import ModuleType

import pytest
import torch

from kascade.physics.kernels import launch
from kascade.physics.kernels.gram import COMBINE, EXPAND, WEIGH, FusedGram
from kascade.physics.kernels.launch import Kernel
from kascade.physics.kernels.updates import ADVANCE, CURVATURE, DIRECTION

CAPABILITIES = (75, 80, 90)
PASSES, UPDATES = (EXPAND, WEIGH, COMBINE), (CURVATURE, ADVANCE, DIRECTION)


def fused(coils: int, columns: int, sets: int = 1) -> Kernel:
    maps = torch.zeros(sets, coils, 1, columns, dtype=torch.complex64)
    return FusedGram(maps, torch.ones(columns), 2, sets).kernel


@pytest.fixture(scope="module")
def nvrtc() -> ModuleType:
    """The compiler; in CI a missing one is a failure, elsewhere a skip."""
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except Exception as error:  # CuPy finds libraries when it needs them, and raises what the system loader says
        message = f"NVRTC cannot be used: pip install cupy-cuda13x nvidia-cuda-nvrtc ({error})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return nvrtc


def compiled(nvrtc: ModuleType, kernel: Kernel, capability: int, *more: str) -> tuple[bytes, str]:
    """Machine code, and what the compiler said."""
    program = nvrtc.createProgram(launch.source(kernel.sources), f"{kernel.name}.cu", [], [])
    try:
        nvrtc.compileProgram(program, [f"--gpu-architecture=sm_{capability}", *launch.options(kernel), *more])
        return nvrtc.getCUBIN(program), nvrtc.getProgramLog(program)
    except nvrtc.NVRTCError as error:
        raise AssertionError(f"{error}: {nvrtc.getProgramLog(program)}") from None
    finally:
        nvrtc.destroyProgram(program)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("kernels", [PASSES, UPDATES, (fused(15, 368),), (fused(32, 640, 2),)])
def test_machine_code_without_a_warning(nvrtc: ModuleType, kernels: tuple[Kernel, ...], capability: int) -> None:
    assert len({(kernel.sources, launch.options(kernel)) for kernel in kernels}) == 1
    code, said = compiled(nvrtc, kernels[0], capability)
    assert code.startswith(b"\x7fELF") and "warning" not in said
    assert all(f".text.{kernel.name}".encode() in code for kernel in kernels)


@pytest.mark.parametrize("kernel", [fused(15, 368), fused(15, 372), fused(8, 640)])
def test_transforms_stay_in_registers(nvrtc: ModuleType, kernel: Kernel) -> None:
    """Arrays of a thread that its registers do not hold go through device memory, which would cost the speed."""
    _, said = compiled(nvrtc, kernel, 90, "--ptxas-options=-v")
    assert "Used" in said and "registers" in said
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in said


def test_an_error_is_found(nvrtc: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "source", lambda _: "__global__ void gram() { no such thing; }")
    with pytest.raises(AssertionError, match="identifier"):
        compiled(nvrtc, fused(4, 16), 80)
