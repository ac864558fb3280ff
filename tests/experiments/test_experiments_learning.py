"""The sounds of the story of a changed machine, and its table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.evidence.alarm_sound import kept_alarms
from asd_monitor.synthesis.families import draw_machine
from experiments.learning.__main__ import Story, table_of
from experiments.learning.box import MACHINE, Box
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


def test_the_sound_of_an_alarm_is_kept_as_a_refit_reads_it(tmp_path: Path) -> None:
    now = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)
    box = Box(tmp_path, now)
    sound = np.linspace(-0.1, 0.1, 30 * RATE_HZ, dtype=np.float32)
    alarms = [box.add_alarm(sound, hours_ago) for hours_ago in (5.0, 3.0)]
    kept = kept_alarms(box.state, MACHINE).whole_sounds
    assert [each.alarm_id for each in kept] == alarms
    assert kept[0].begin == now - timedelta(hours=5, seconds=10)
    box.forget_alarms()
    assert kept_alarms(box.state, MACHINE).whole_sounds == ()
