"""Whether findings name what was changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asd_monitor.explanation.findings import Finding, FindingKind
from experiments.reasons.truth import Truth, is_named

TONE = Finding(FindingKind.TONE, 3.0, 996.0, 1004.0, sideband_hz=25.0)
BAND = Finding(FindingKind.LOUD_BAND, 3.0, 2000.0, 4000.0)
SPEED = Finding(FindingKind.SPEED, 3.0, 40.0, 4000.0, change_percent=-7.5)


def truth(kind: FindingKind, hz: tuple[float, ...] = ()) -> Truth:
    return Truth("", frozenset({kind}), hz)


@pytest.mark.parametrize(("hz", "named"), [(1049.0, True), (1060.0, False), (25.5, True)])
def test_a_tone_is_named_within_five_per_cent(hz: float, *, named: bool) -> None:
    assert is_named(truth(FindingKind.TONE, (hz,)), [TONE]) is named


def test_another_kind_does_not_name_it() -> None:
    assert not is_named(truth(FindingKind.MODULATION, (25.0,)), [TONE])


@pytest.mark.parametrize(("inside_hz", "named"), [(3000.0, True), (1000.0, False)])
def test_a_band_contains_what_it_names(inside_hz: float, *, named: bool) -> None:
    wanted = replace(truth(FindingKind.LOUD_BAND), inside_hz=inside_hz)
    assert is_named(wanted, [BAND]) is named


@pytest.mark.parametrize(("percent", "named"), [(-7.0, True), (7.5, False), (-6.0, False)])
def test_a_speed_has_its_sign_and_size(percent: float, *, named: bool) -> None:
    wanted = replace(truth(FindingKind.SPEED), percents=(percent,))
    assert is_named(wanted, [SPEED]) is named
