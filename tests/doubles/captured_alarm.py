"""An alarm of a synthetic machine, whose sound has a tone from a known time on."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import numpy as np

from asd_monitor.alarm.re_alarm import ScoreAtScale
from asd_monitor.evidence.building import CapturedAlarm
from asd_monitor.evidence.contents import AlarmFacts, ScoresAround
from asd_monitor.evidence.score_history import ScoreHistory, ScoreTrace
from asd_monitor.evidence.sound_span import KeptSound, SoundContent
from asd_monitor.explanation.sound_analysis import analyse
from asd_monitor.explanation.sound_profile import SoundProfile, fit_profile
from asd_monitor.monitor import Reading
from asd_monitor.records import (
    MachineState,
    MicrophoneState,
    Samples,
    Thresholds,
    WindowScore,
)

RATE_HZ = 16_000
FIRST = 1_000_000
"""Sample index of the first sample."""
BEGIN_S, RAISED_S, SECONDS = 6.0, 13.0, 23.0
TONE_HZ = 1500.0
RAISED = datetime(2026, 11, 23, 4, 45, 0, 512000, UTC)
HOP = 8192


def machine_sound(seconds: float, seed: int = 1) -> Samples:
    """Return the normal sound of the machine."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    return np.asarray(0.02 * noise, np.float32)


def with_tone(sound: Samples, begin_s: float = BEGIN_S, hz: float = TONE_HZ) -> Samples:
    """Return the sound with a tone from a time on."""
    time_s = np.arange(len(sound)) / RATE_HZ
    tone = np.where(time_s >= begin_s, 0.02 * np.sin(2 * np.pi * hz * time_s), 0.0)
    return np.asarray(sound + tone, np.float32)


@cache
def machine_profile() -> SoundProfile:
    """Return the profile of the normal sound."""
    profile = fit_profile([analyse(machine_sound(8.0, seed), RATE_HZ) for seed in range(10, 18)])
    assert profile is not None
    return profile


def reading(end: int, alarm_score: float) -> Reading:
    """Return the reading of a window with an alarm score of ten seconds."""
    window = WindowScore(end - 31_744, end, 4.0, 5.0, 5.0, {"tone": 9.0}, -34.0, idle=False)
    scores = [ScoreAtScale(alarm_score, 10.0)]
    return Reading(
        end,
        window,
        alarm_score,
        10.0,
        MachineState.NORMAL,
        MicrophoneState.OK,
        None,
        (),
        scores=scores,
    )


def score_trace(raised: int) -> ScoreTrace:
    """Return scores that have reached the threshold 3 s before an alarm."""
    history = ScoreHistory((10.0, 30.0))
    for number in range(-40, 20):
        end = raised + number * HOP
        history.push(reading(end, 6.0 if end >= raised - 3 * RATE_HZ else 0.5))
    return history.trace()


def captured_alarm(
    *,
    sound: Samples | None = None,
    content: SoundContent = SoundContent.FULL,
    alarm_id: str = "fan-20261123T044500Z",
    machine: str = "fan",
    time_scale_s: float = 10.0,
    reason: str = "Tone at 1,500 Hz (alarm score at least 5.42 for 3 s)",
) -> CapturedAlarm:
    """Return the alarm; without another sound that of the tone."""
    raised = FIRST + round(RAISED_S * RATE_HZ)
    samples = with_tone(machine_sound(SECONDS)) if sound is None else sound
    return CapturedAlarm(
        facts=AlarmFacts(
            id=alarm_id,
            machine=machine,
            box="edge-07",
            raised=RAISED,
            raised_sample=raised,
            onset_sample=raised - 3 * RATE_HZ,
            reason=reason,
            alarm_score=6.1,
            time_scale_s=time_scale_s,
            views={"tone": 9.25, "level": 0.4},
            thresholds=Thresholds(3.1, 5.42),
            model="20261122T101500Z",
            provisional=False,
            budget="1 per month",
            budget_note=None,
            microphone=MicrophoneState.OK,
            microphone_reason=None,
            lost_samples=0,
        ),
        scores=ScoresAround(score_trace(raised), (), ()),
        sound=KeptSound(FIRST, RATE_HZ, samples),
        content=content,
        begin=RAISED,
        rate_hz=RATE_HZ,
        profile=machine_profile(),
    )
