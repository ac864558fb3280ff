"""The coverage of a recording: duration, operating modes, pauses."""

import numpy as np

from asd_monitor.guided_setup.coverage import Coverage, CoverageMeter, coverage_text, recording_text
from tests.doubles.synthetic_sounds import machine_sound

RATE_HZ = 8000


def measured(*sounds, piece: int = 800) -> Coverage:
    meter = CoverageMeter(RATE_HZ)
    for sound in sounds:
        meter.interrupt()
        for at in range(0, len(sound), piece):
            meter.push(sound[at : at + piece])
    return meter.coverage()


def running(seconds: float, gain: float = 0.1, seed: int = 0):
    return machine_sound(seconds, rate_hz=RATE_HZ, gain=gain, seed=seed)


def test_one_speed_is_one_mode_without_a_pause():
    coverage = measured(running(40.0))
    assert coverage == Coverage(40.0, 1, None)
    text = coverage_text(coverage, 600)
    assert text.startswith("0.7 of 10 minutes: 1 operating mode and no pause found\n")
    assert "switch it off for a minute" in text
    assert recording_text(coverage) == "0.7 minutes: 1 operating mode and no pause found"


def brighter(sound):
    """Return the sound with its high frequencies raised, at about the same level."""
    return np.diff(sound, prepend=np.float32(0.0))


def test_another_load_is_a_second_mode():
    coverage = measured(running(40.0), brighter(running(40.0, seed=1)))
    assert coverage.modes == 2
    assert "2 operating modes and no pause found" in coverage_text(coverage, 80)


def test_a_pause_is_found_and_is_no_mode():
    noise = np.random.default_rng(1).normal(0, 3e-4, 25 * RATE_HZ).astype(np.float32)
    coverage = measured(running(60.0), noise)
    assert coverage.modes == 1
    assert coverage.idle_dbfs is not None
    assert coverage_text(coverage, 85).endswith("a pause found")


def test_nothing_is_not_a_pause():
    assert measured() == Coverage(0.0, 1, None)
    assert measured(running(1.0)) == Coverage(1.0, 1, None)


def test_the_size_of_the_pieces_makes_no_difference():
    sounds = running(40.0), brighter(running(40.0, seed=1))
    assert measured(*sounds, piece=80_000) == measured(*sounds, piece=333)
