"""What is said of faults that a model would not detect."""

from __future__ import annotations

import pytest

from asd_monitor.model_training.sensitivity import FaultDetection
from asd_monitor.reports.notices import undetected_text
from asd_monitor.synthesis.added_faults import FaultKind


@pytest.mark.parametrize(
    ("tone_s", "impacts_s", "begins"),
    [
        (10.0, 9.0, None),
        (10.0, None, "none of these bearing impacts would be detected: record more"),
        (None, 9.0, "none of these added tones would be detected: record more"),
        (None, None, "none of these faults would be detected: record more"),
    ],
)
def test_a_kind_of_which_no_fault_is_detected_is_named_with_the_remedy(
    tone_s: float | None, impacts_s: float | None, begins: str | None
) -> None:
    found = [
        FaultDetection(FaultKind.TONE, 3.0, None),
        FaultDetection(FaultKind.TONE, 15.0, tone_s),
        FaultDetection(FaultKind.IMPACTS, -18.0, None),
        FaultDetection(FaultKind.IMPACTS, -4.0, impacts_s),
    ]
    text = undetected_text(found)
    assert text is None if begins is None else text is not None and text.startswith(begins)
