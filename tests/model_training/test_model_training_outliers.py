"""Outliers among the training windows."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from asd_monitor.model_training.outliers import WindowPosition, find_outliers
from asd_monitor.model_training.sound_files import SoundFile

FILE = SoundFile(Path("a.wav"), "", 16_000, 400.0, datetime(2026, 1, 1, tzinfo=UTC))
VIEWS = ["level", "tone", "rhythm", "change"]


def _scores(n: int, seed: int) -> tuple[np.ndarray, list[WindowPosition]]:
    by_view = np.random.default_rng(seed).exponential(1 / np.log(10), (n, len(VIEWS)))
    return by_view, [WindowPosition(FILE, k * 0.5, k * 0.5 + 2) for k in range(n)]


def _fused(by_view: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((by_view**2).mean(1)))


def test_an_outlier_is_found_with_its_position_and_view() -> None:
    by_view, positions = _scores(800, 0)
    by_view[400:404, 2] = 9.0
    [outlier] = find_outliers(_fused(by_view), by_view, VIEWS, positions)
    assert (outlier.file, outlier.start_s, outlier.end_s) == (FILE, 200.0, 203.5)
    assert outlier.view == "rhythm"


def test_many_outliers_do_not_mask_each_other() -> None:
    by_view, positions = _scores(800, 1)
    for begin in range(50, 800, 200):
        by_view[begin : begin + 6, 1] = 11.0
    found = find_outliers(_fused(by_view), by_view, VIEWS, positions)
    assert len(found) == 4
    assert [o.excess for o in found] == sorted((o.excess for o in found), reverse=True)


def test_normal_scores_have_hardly_any_outlier() -> None:
    found = []
    for seed in range(30):
        by_view, positions = _scores(500, seed)
        found.append(bool(find_outliers(_fused(by_view), by_view, VIEWS, positions)))
    assert sum(found) <= 2
