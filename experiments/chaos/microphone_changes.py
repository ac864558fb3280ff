"""Changes of what a microphone captures: covered, another gain, dropouts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from asd_monitor.records import Samples
from asd_monitor.synthesis.filtering import db_to_amplitude
from experiments.chaos.capture_fault import (
    Action,
    CaptureFault,
    CaptureRun,
    state_of_fault,
    state_ok,
)
from experiments.chaos.product import RATE_HZ
from experiments.chaos.scenario import Scenario
from experiments.microphone.responses import bursts, cover, filtered

_SEEN_LIMIT_S = 40.0
_SETTLE_S = 15.0  # longer than spectra are averaged for
_PER_S, _LENGTH_S = 3.0, (0.005, 0.05)

Change = Callable[[Samples], Samples]


def _covered(sound: Samples) -> Samples:
    return filtered(sound, cover(20.0, 2000.0))


def _gain(gain_db: float) -> Change:
    return lambda sound: np.clip(sound * np.float32(db_to_amplitude(gain_db)), -1.0, 1.0)


def _dropouts(sound: Samples) -> Samples:
    changed, rng = sound.copy(), np.random.default_rng(0)
    number = round(_PER_S * len(sound) / RATE_HZ)
    for begin, length in bursts(rng, number, _LENGTH_S, 0, len(sound)):
        changed[begin : begin + length] = 0.0
    return changed


def _play(change: Change) -> Action:
    def act(run: CaptureRun) -> None:
        run.microphone.play(change(run.calm), loop=True)

    return act


def _play_calm(run: CaptureRun) -> None:
    run.microphone.play(run.calm, loop=True)


def _changed(name: str, fault: str, change: Change) -> CaptureFault:
    return CaptureFault(
        name,
        fault,
        _play(change),
        _play_calm,
        seen=state_of_fault,
        recovered=state_ok,
        seen_limit_s=_SEEN_LIMIT_S,
        settle_s=_SETTLE_S,
        seconds_each=45.0,
    )


SCENARIOS: tuple[Scenario, ...] = (
    _changed("covered", "microphone covered, −20 dB above 2 kHz", _covered),
    _changed("gain-up", "gain of the microphone +12 dB", _gain(12.0)),
    _changed("gain-down", "gain of the microphone −12 dB", _gain(-12.0)),
    _changed("dropouts", "dropouts, 3 per s of 5 to 50 ms", _dropouts),
)
