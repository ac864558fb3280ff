"""The sounds of the story of a changed machine, and its table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asd_monitor.synthesis.families import draw_machine
from experiments.learning.__main__ import Story, table_of
from experiments.learning.sounds import CHANGES, RATE_HZ, Scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    noise = np.random.default_rng(1).standard_normal(12 * RATE_HZ).astype(np.float32)
    return Scene(draw_machine("fan", np.random.default_rng(2)), [noise], 3)


def test_a_sound_is_the_same_for_the_same_draw(scene: Scene) -> None:
    assert np.array_equal(scene.normal(2.0, 1), scene.normal(2.0, 1))
    assert not np.array_equal(scene.normal(2.0, 1), scene.normal(2.0, 2))


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_and_each_fault_changes_the_sound(scene: Scene, change: str) -> None:
    changed = scene.changed(change, 2.0, 1)
    assert len(changed) == 2 * RATE_HZ
    kind, severity = scene.faults()[0]
    assert not np.allclose(scene.changed_and_faulty(change, kind, severity, 2.0, 1), changed)


def test_a_rollback_that_differs_is_seen_in_the_table() -> None:
    story = Story("fan", "tone", 8, 8, 0, 0, 0, 16, 12, 11, 10, 1, 0, True, True, True, False)
    text = table_of([story])
    assert (
        "| fan, tone | 8 → 0 of 8 | 0 → 0 of 8 | 12 → 11 of 16 | 10 of 16 | bit for bit |" in text
    )
    assert "yes, yes (no)" in text
    assert "DIFFERS" in table_of([replace(story, rolled_back=False)])
