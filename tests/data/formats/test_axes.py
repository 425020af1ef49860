"""The `--axes` option and the rules without it."""

from __future__ import annotations

from itertools import permutations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from kascade.data.formats.axes import AXES, choose_axes, parse_axes
from kascade.errors import ConfigError, FileFormatError


@given(st.sampled_from([p for n in (2, 3, 4) for p in permutations(AXES, n) if {"rows", "columns"} <= set(p)]))
def test_every_order_is_read_as_it_is_named(names):
    assert parse_axes(",".join(names)) == names
    assert parse_axes(" , ".join(names).upper()) == names
    assert choose_axes(range(5, 5 + len(names)), ",".join(names), "f") == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("coil,rows,cols", "unknown axis 'cols'"),
        ("", "unknown axis ''"),
        ("coil,rows,columns,", "unknown axis ''"),
        ("rows,rows,columns", "rows is named 2 times"),
        ("coil,slice,coil,rows,columns", "coil is named 2 times"),
        ("coil,rows", "columns missing"),
        ("slice,coil", "rows and columns missing"),
    ],
)
def test_malformed_axes_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_axes(text)


def test_ranks_with_one_meaning_need_no_names():
    assert choose_axes((3, 8, 32, 16), None, "f") == ("slice", "coil", "rows", "columns")
    assert choose_axes((32, 16), None, "f") == ("rows", "columns")


def test_three_axes_are_not_guessed_and_both_calls_are_shown():
    with pytest.raises(FileFormatError, match="--axes coil,rows,columns or --axes slice,rows,columns") as caught:
        choose_axes((8, 32, 16), None, "scan.npy")
    assert "scan.npy" in str(caught.value) and "(8, 32, 16)" in str(caught.value)


@pytest.mark.parametrize("shape", [(), (0, 32, 16), (8, 0, 16)])
def test_nothing_is_refused(shape):
    with pytest.raises(FileFormatError, match="holds nothing"):
        choose_axes(shape, "coil,rows,columns", "f")


@pytest.mark.parametrize("shape", [(16,), (2, 3, 4, 5, 6)])
def test_other_ranks_are_refused(shape):
    with pytest.raises(FileFormatError, match=f"{len(shape)} axes"):
        choose_axes(shape, None, "f")


@pytest.mark.parametrize("shape", [(16, 16), (2, 8, 16, 16), (16,)])
def test_a_wrong_number_of_names_is_refused(shape):
    with pytest.raises(ConfigError, match=f"names 3 axes, but f has {len(shape)}"):
        choose_axes(shape, "coil,rows,columns", "f")
