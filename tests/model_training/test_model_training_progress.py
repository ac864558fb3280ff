"""The progress of a training: the steps that it reports, and its share of the whole."""

from __future__ import annotations

from itertools import pairwise

import pytest

from asd_monitor.model_training.training_progress import of_whole, training_steps
from asd_monitor.model_training.training_run import TrainingResult


def test_the_share_of_a_training_rises_in_every_step_from_begin_to_end(
    fan_training: tuple[TrainingResult, list[tuple[str, float]]],
) -> None:
    _, shown = fan_training
    steps = training_steps(adapt=False)
    shares = [share for _, share in shown]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert max(later - earlier for earlier, later in pairwise(shares)) < 0.12
    names = list(dict.fromkeys(name for name, _ in shown))
    assert names == [name for name, _ in steps[2:]]  # the reference is read already


def test_steps_that_are_left_out_count_as_done() -> None:
    shown: list[tuple[str, float]] = []
    show = of_whole(lambda *report: shown.append(report), (("a", 1.0), ("b", 1.0), ("c", 2.0)))
    show("a", 0.5)
    show("c", 0.5)
    assert shown == [("a", 0.125), ("c", 0.75)]


def test_an_adaptation_has_steps_of_its_own() -> None:
    plain, adapted = training_steps(adapt=False), training_steps(adapt=True)
    assert [each for each in adapted if each in plain] == list(plain)
    assert "adapting the encoder" in dict(adapted)
