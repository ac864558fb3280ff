"""Findings as text."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.config.quantities import parse_budget
from asd_monitor.model_training.confidence import FalseAlarmInterval
from asd_monitor.model_training.findings import (
    Finding,
    HeldOutAlarms,
    HeldOutExcess,
    NothingHeldOut,
    ShortReference,
    UnreachableThreshold,
    UnsupportedBudget,
    UnusualSound,
)
from asd_monitor.model_training.outliers import Outlier
from asd_monitor.model_training.sound_files import SoundFile
from asd_monitor.reports.notices import finding_text, interval_text, merge_notices

MONTH = parse_budget("1 per month")
DAY_S = 86_400
FILE = SoundFile(Path("/rec/a.wav"), "", 16_000, 400.0, datetime(2026, 1, 1, tzinfo=UTC))
INTERVAL = FalseAlarmInterval(MONTH, 5.0, 1 / (50 * DAY_S), 3 / DAY_S)


@pytest.mark.parametrize(
    ("finding", "parts"),
    [
        (ShortReference(90.2), ["90.2 s is little", "ten minutes"]),
        (NothingHeldOut(), ["too little sound to hold a part out"]),
        (HeldOutAlarms(2, 40.0), ["2 alarms in the 40 s held out", "record more of it"]),
        (HeldOutExcess(2.0, 0.081, 0.01), ["8.1 % of the held-out", "above 2", "where 1 % are"]),
        (UnreachableThreshold(MONTH, 16.24), ["1 per month", "16.2", "no alarm at all"]),
        (UnsupportedBudget(INTERVAL), ["1 per month", "between 7.3 per year and 3 per day"]),
    ],
)
def test_a_finding_states_its_figures(finding: Finding, parts: list[str]) -> None:
    text = finding_text(finding)
    assert all(part in text for part in parts), text
    assert "\n" not in text


def test_at_most_five_outliers_are_listed() -> None:
    outliers = tuple(Outlier(FILE, n, n + 3.5, 1.0, "rhythm") for n in range(200, 207))
    text = finding_text(UnusualSound(outliers))
    assert "a.wav, 3:20.0 to 3:23.5 (by its rhythm); a.wav, 3:21.0" in text
    assert text.endswith("3:27.5 (by its rhythm); and 2 more")


def test_the_interval_is_given_with_its_confidence() -> None:
    text = (
        "false-alarm rate by these recordings between 7.3 per year and 3 per day "
        "(90% confidence interval)"
    )
    assert interval_text(INTERVAL) == text
    same = FalseAlarmInterval(MONTH, 5.0, 0.0, 1e-12)
    assert interval_text(same) == (
        "false-alarm rate by these recordings less than 1 in 100 years (90% confidence interval)"
    )


def test_notices_on_many_files_are_merged() -> None:
    notices = [*(f"{n}.wav: clipped" for n in range(5)), "0.wav: truncated", "0.wav: clipped"]
    merged = ["0.wav and 4 more recordings: clipped", "0.wav: truncated"]
    assert merge_notices(notices) == merged
