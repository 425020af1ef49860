"""Order of shots, and random motion."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kascade.data.simulation.trajectory import ORDERS, random_motion, shot_order
from kascade.errors import ConfigError


@settings(max_examples=20)
@given(columns=st.integers(2, 60), shots=st.integers(1, 12), order=st.sampled_from(ORDERS))
def test_every_shot_has_its_fair_share_of_columns(columns: int, shots: int, order: str) -> None:
    if shots > columns:
        with pytest.raises(ConfigError):
            shot_order(columns, shots, order)
        return
    which = shot_order(columns, shots, order)
    counts = torch.bincount(which, minlength=shots)
    assert len(counts) == shots and int(counts.max()) - int(counts.min()) <= 1
    if order == "sequential":
        assert bool((which.diff() >= 0).all())


def test_motion_reaches_its_severity_and_rests_where_it_should() -> None:
    for seed in range(5):
        motion = random_motion(12, 2.5, rest=4, seed=seed)
        assert motion.shape == (12, 3) and not bool(motion[4].any())
        assert motion.abs().amax(0).tolist() == pytest.approx([2.5] * 3)
    torch.testing.assert_close(random_motion(8, 1.0, seed=1) * 5, random_motion(8, 5.0, seed=1))
    assert not torch.equal(random_motion(8, 1.0, seed=1), random_motion(8, 1.0, seed=2))
