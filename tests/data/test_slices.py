from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kascade.data.slices import MemorySource, SharedSource, Slices
from kascade.errors import FileFormatError
from tests.data.h5_files import random_kspace


@dataclass
class Counting:
    """Source that counts what is read."""

    tensor: Tensor
    reads: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def __getitem__(self, index: int) -> Tensor:
        self.reads += 1
        return self.tensor[index]


def double(item: Tensor) -> Tensor:
    return 2 * item


def stack(tensor: Tensor) -> Slices:
    return Slices(MemorySource(tensor), torch.complex64, "brain.h5: kspace")


def test_reads_only_what_is_asked_for() -> None:
    source = Counting(random_kspace(5, 2, 3))
    slices = Slices(source, torch.complex64, "x")
    assert slices.shape == (5, 2, 3) and len(slices) == 5 and source.reads == 0
    view = slices.window(1, 4).map(double, (2, 3))
    assert view.shape == (3, 2, 3) and source.reads == 0
    torch.testing.assert_close(view[2], 2 * source.tensor[3])
    assert source.reads == 1


@settings(max_examples=50, deadline=None)
@given(start=st.integers(0, 5), length=st.integers(1, 6), index=st.integers(-8, 8))
def test_window_indexes_as_a_tensor_does(start: int, length: int, index: int) -> None:
    tensor = random_kspace(6, 2, 2)
    stop = min(start + length, 6)
    window = stack(tensor).window(start, stop)
    expected = tensor[start:stop]
    if -len(expected) <= index < len(expected):
        assert torch.equal(window[index], expected[index])
    else:
        with pytest.raises(IndexError, match="no slice"):
            window[index]


def test_iterates_and_ends() -> None:
    tensor = random_kspace(3, 2, 2)
    assert torch.equal(torch.stack(list(stack(tensor))), tensor)


def test_gives_its_type() -> None:
    assert stack(random_kspace(2, 2, 2).to(torch.complex128))[0].dtype == torch.complex64
    assert Slices(MemorySource(torch.ones(1, 2, 2).double()), torch.float32, "x")[0].dtype == torch.float32


def test_shared_item_serves_every_slice() -> None:
    maps = random_kspace(4, 3, 3)
    slices = Slices(SharedSource(maps, 7), torch.complex64, "maps")
    assert slices.shape == (7, 4, 3, 3)
    assert torch.equal(slices[6], maps)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), complex(0, -float("inf"))])
def test_nan_and_inf_are_named_with_slice_and_count(value: complex) -> None:
    tensor = random_kspace(3, 2, 4)
    tensor[1, 0, 2] = value
    tensor[1, 1, 3] = value
    slices = stack(tensor)
    assert slices[0].shape == (2, 4)
    with pytest.raises(FileFormatError, match=r"^brain\.h5: kspace: slice 1 holds 2 NaN or Inf samples of 8;"):
        slices[1]


def test_infinities_that_cancel_are_found() -> None:
    tensor = random_kspace(1, 2, 4)
    tensor[0, 0, 0], tensor[0, 0, 1] = float("inf"), -float("inf")
    with pytest.raises(FileFormatError, match="holds 2 NaN or Inf"):
        stack(tensor)[0]


def test_huge_finite_samples_pass_though_their_sum_overflows() -> None:
    tensor = torch.full((1, 2, 8), 3e38, dtype=torch.complex64)
    assert torch.equal(stack(tensor)[0], tensor[0])


def test_a_source_that_lies_about_its_shape() -> None:
    @dataclass
    class Liar:
        shape: tuple[int, ...] = (2, 3, 3)

        def __getitem__(self, index: int) -> Tensor:
            return torch.zeros(2, 3)

    with pytest.raises(FileFormatError, match=r"slice 0 has shape \(2, 3\), but \(3, 3\) was declared"):
        Slices(Liar(), torch.complex64, "x")[0]


def test_pickles() -> None:
    tensor = random_kspace(3, 2, 2)
    copy = pickle.loads(pickle.dumps(stack(tensor).window(1, 3).map(double, (2, 2))))
    torch.testing.assert_close(copy[0], 2 * tensor[1])
