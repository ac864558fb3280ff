"""Findings as text."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from asd_monitor.alarm.supported_budget import CommissioningExtent, effective_budget
from asd_monitor.model_training.findings import (
    DriftingLevel,
    Finding,
    HeldOutAlarms,
    HeldOutExcess,
    NothingHeldOut,
    ProvisionalBudget,
    ShortReference,
    UnusualSound,
)
from asd_monitor.model_training.level_trend import LevelTrend
from asd_monitor.model_training.operating_modes import OperatingMode
from asd_monitor.model_training.outliers import Outlier
from asd_monitor.model_training.sensitivity import FaultDetection
from asd_monitor.model_training.sound_files import SoundFile
from asd_monitor.records import AlarmCriteria
from asd_monitor.reports.notices import detection_text, finding_text, merge_notices, modes_text
from asd_monitor.synthesis.added_faults import FaultKind
from asd_monitor.wording import PERIOD_S

FILE = SoundFile(Path("/rec/a.wav"), "", 16_000, 400.0, datetime(2026, 1, 1, tzinfo=UTC))
BUDGET = effective_budget(AlarmCriteria(1 / PERIOD_S["month"], 1 / PERIOD_S["day"]), 1)


@pytest.mark.parametrize(
    ("finding", "parts"),
    [
        (ShortReference(90.2), ["90.2 s is little", "ten minutes"]),
        (NothingHeldOut(), ["too little sound to hold a part out"]),
        (HeldOutAlarms(2, 40.0), ["2 alarms in the 40 s held out", "record more of it"]),
        (HeldOutExcess(0.081, 0.01), ["8 % of the held-out windows", "1 % are", "record more"]),
        (
            ProvisionalBudget(BUDGET, "1 per month", CommissioningExtent(7.0)),
            ["provisional", "a budget of 1 per day", "1 per month", "7 days of commissioning"],
        ),
        (
            DriftingLevel(LevelTrend(FILE, 0.0, FILE, 390.0, -4.9)),
            ["level fell by 5 dB during training (from a.wav at 0:00.0 to 6:30.0)", "run-in"],
        ),
        (DriftingLevel(LevelTrend(FILE, 0.0, FILE, 390.0, 2.2)), ["level rose by 2 dB"]),
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


@pytest.mark.parametrize(
    ("detection", "text"),
    [
        (
            FaultDetection(FaultKind.TONE, 6.0, 9.2),
            "an added tone 6 dB above its third-octave band: 9 s",
        ),
        (FaultDetection(FaultKind.IMPACTS, -9.0, 20.0), "bearing impacts at −9 dB: 20 s"),
        (
            FaultDetection(FaultKind.IMPACTS, -18.0, None),
            "bearing impacts at −18 dB: not within 60 s",
        ),
    ],
)
def test_a_detection_is_one_line(detection: FaultDetection, text: str) -> None:
    assert detection_text(detection) == text


def test_operating_modes_are_listed_with_level_and_share() -> None:
    modes = [OperatingMode(-32.4, 0.6), OperatingMode(-25.0, 0.4)]
    assert modes_text(modes) == (
        "2 operating modes: −32 dBFS in 60 % of the sound; −25 dBFS in 40 % of the sound"
    )


def test_notices_on_many_files_are_merged() -> None:
    notices = [*(f"{n}.wav: clipped" for n in range(5)), "0.wav: truncated", "0.wav: clipped"]
    merged = ["0.wav and 4 more recordings: clipped", "0.wav: truncated"]
    assert merge_notices(notices) == merged
