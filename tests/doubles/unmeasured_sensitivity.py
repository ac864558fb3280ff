"""Trainings without the measurement of what would be detected, most of the time of a short one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NOT_MEASURED = "this test does not look at it"


@contextmanager
def unmeasured_sensitivity() -> Iterator[None]:
    """Let trainings in this process measure no sensitivity."""
    from asd_monitor.model_training import training_run
    from asd_monitor.model_training.sensitivity import Sensitivity

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            training_run, "measure_sensitivity", lambda *_: Sensitivity(not_measured=NOT_MEASURED)
        )
        yield


@pytest.fixture
def unmeasured() -> Iterator[None]:
    """Let trainings of this test measure no sensitivity."""
    with unmeasured_sensitivity():
        yield
