"""What a comparison of two models warns of, and the decision that it states."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from asd_monitor.model_training.comparison import (
    ComparedAlarm,
    ComparedLevels,
    ComparedModel,
    Comparison,
    HeldOutAlarms,
    UncomparedAlarm,
    comparison_of,
    rows,
)
from asd_monitor.self_test.detected_levels import DetectedLevels
from asd_monitor.synthesis.added_faults import FaultKind

BEFORE, AFTER = ComparedModel("v3", "a" * 64, 20, "1 per day"), ComparedModel("v4", None, 21, "1 d")
COMMAND = "asd-monitor models promote …"


def alarm(number: int, label: str | None, *, before: bool = True, after: bool) -> ComparedAlarm:
    return ComparedAlarm(f"fan01-{number}", label, 40.0, 7.0, 1.0, before, after)


def levels(tone: float | None, impacts: float | None) -> DetectedLevels:
    return DetectedLevels({FaultKind.TONE: tone, FaultKind.IMPACTS: impacts})


def comparison(*alarms: ComparedAlarm, after: DetectedLevels | None = None) -> Comparison:
    found = None if after is None else ComparedLevels(levels(3.0, -8.0), after)
    return Comparison("fan01", BEFORE, AFTER, alarms=alarms, levels=found)


def test_a_valid_alarm_that_is_lost_is_a_warning() -> None:
    found = comparison(
        alarm(1, "valid", after=False), alarm(2, "invalid", after=False), alarm(3, None, after=True)
    )
    assert found.warnings() == ["1 alarm labelled valid would not rise any more (fan01-1)"]
    assert found.decision(COMMAND) == (
        "2 of 3 kept alarms would not rise any more, 1 of them labelled valid: do not promote v4, "
        "or look at the sound first and label the alarm anew; `asd-monitor models promote … "
        "--anyway` promotes it nevertheless."
    )
    # a person labels it anew
    assert found.with_labels({"fan01-1": "invalid"}).warnings() == []
    assert comparison(alarm(2, "invalid", after=False)).with_labels({"fan01-2": "valid"}).warnings()


def test_an_alarm_that_rises_with_neither_is_a_warning_where_its_score_falls() -> None:
    found = comparison(alarm(1, "valid", before=False, after=False))
    (warning,) = found.warnings()
    assert warning.startswith("fan01-1, labelled valid")
    assert "rises with neither model in the 40 s of sound" in warning
    assert "its score was 7.0 and is 1.0" in warning
    short = ComparedAlarm("fan01-1", "valid", 5.0, 2.0, 2.0, rises_before=False, rises_after=False)
    assert len(comparison(short).warnings()) == 1
    found = comparison(replace(short, seconds=40.0))
    assert found.warnings() == []
    assert found.decision(COMMAND).startswith("there is no kept alarm to compare: promote v4")


def test_an_alarm_that_rises_newly_is_in_the_decision() -> None:
    found = comparison(alarm(1, "invalid", before=False, after=True), alarm(2, None, after=True))
    assert found.decision(COMMAND).startswith(
        "1 of 1 kept alarm would rise as before, and 1 would rise newly (fan01-1): promote v4"
    )


def test_a_valid_alarm_that_cannot_be_compared_is_a_warning() -> None:
    low = UncomparedAlarm("fan01-1", None, "its sound was low-passed")
    found = Comparison("fan01", BEFORE, AFTER, uncompared=(low,))
    assert found.warnings() == []
    # two are labelled after the comparison, one of them is not in it
    labelled = found.with_labels({"fan01-1": "valid", "fan01-2": "valid", "fan01-3": "invalid"})
    assert labelled.warnings() == [
        "fan01-1, labelled valid, cannot be compared: its sound was low-passed",
        "fan01-2, labelled valid, cannot be compared: it was labelled after the comparison",
    ]
    assert "do not promote v4" in labelled.decision(COMMAND)


def test_alarms_without_a_label_are_to_be_labelled_first() -> None:
    found = comparison(alarm(1, None, after=False), alarm(2, "invalid", after=False))
    assert found.warnings() == []
    decision = found.decision(COMMAND)
    assert "2 of 2 kept alarms would not rise any more, none of them labelled valid" in decision
    assert "of which 1 has no label: label each first" in decision
    assert "1 of 1 kept alarm would rise as before: promote v4" in comparison(
        alarm(1, None, after=True)
    ).decision(COMMAND)


@pytest.mark.parametrize(
    ("tone", "impacts", "warned"),
    [
        (3.0, -8.0, 0),
        (9.0, -2.0, 0),
        (9.1, -8.0, 1),
        (None, -8.0, 1),
        (9.1, None, 2),
        (-3.0, -20.0, 0),
    ],
)
def test_a_loss_of_sensitivity_is_a_warning(
    tone: float | None, impacts: float | None, warned: int
) -> None:
    assert len(comparison(after=levels(tone, impacts)).warnings()) == warned


def test_a_comparison_is_the_same_after_it_was_in_a_manifest() -> None:
    found = Comparison(
        "fan01",
        BEFORE,
        AFTER,
        alarms=(alarm(1, "valid", after=False), alarm(2, None, after=True)),
        uncompared=(UncomparedAlarm("fan01-9", None, "its sound was low-passed"),),
        held_out=HeldOutAlarms(10, 1, 0),
        levels=ComparedLevels(levels(3.0, None), levels(None, -8.0)),
        not_measured=None,
        notes=("one",),
    )
    assert comparison_of(json.loads(json.dumps(found.to_json()))) == found
    assert [row[0] for row in rows(found)] == [
        "budget supported",
        "sound from different hours",
        "alarms in held-out sound",
        "an added tone detected from",
        "added impacts detected from",
    ]
    assert rows(found)[-1][1:] == ("no level", "-8.0 dB")
    with pytest.raises(KeyError):
        comparison_of({"machine": "fan01"})
