"""What is found in a few seconds of a channel: silence, hum, clipping, the tap on a machine."""

import numpy as np
import numpy.typing as npt
import pytest

from asd_monitor.guided_setup.channel_trial import (
    ChannelSound,
    ChannelTrial,
    channel_warnings,
    reacting,
)
from asd_monitor.guided_setup.line_spectrum import LineSpectrum
from tests.doubles.synthetic_sounds import machine_sound

RATE_HZ = 16_000
SECONDS = 5


def noise(rms: float, seed: int = 1) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, rms, SECONDS * RATE_HZ).astype(np.float32)


def tones(frequencies_hz: tuple[int, ...], amplitude: float) -> npt.NDArray[np.float32]:
    t = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    waves = [amplitude * np.sin(2 * np.pi * hz * t) for hz in frequencies_hz]
    return np.asarray(np.sum(waves, axis=0), np.float32)


def heard(samples: npt.NDArray[np.float32], channel: int = 0) -> ChannelSound:
    trial = ChannelTrial(channel, RATE_HZ)
    for at in range(0, len(samples), 1600):
        trial.push(samples[at : at + 1600])
    return trial.sound()


def spectrum(samples: npt.NDArray[np.float32], rate_hz: int = RATE_HZ) -> LineSpectrum:
    found = LineSpectrum(rate_hz)
    found.push(samples)
    return found


def test_octave_levels_are_those_of_a_tone_and_add_up_to_that_of_noise():
    bands = {band.centre_hz: band.level_dbfs for band in spectrum(tones((1000,), 0.1)).octaves()}
    assert bands[1000] == pytest.approx(-23.0, abs=0.1)  # 20 dB and 3 dB for a sine
    assert max(level for hz, level in bands.items() if hz != 1000) < -80
    total = sum(10 ** (band.level_dbfs / 10) for band in spectrum(noise(0.01)).octaves())
    # white noise: the bands end at 11.3 kHz, the sound at 8 kHz, and begin at 22 Hz
    assert 10 * np.log10(total) == pytest.approx(-40.0, abs=0.3)


def test_octaves_end_at_half_the_rate_and_there_are_none_in_the_first_second():
    assert [band.centre_hz for band in spectrum(noise(0.1), 4000).octaves()][-1] == 2000
    assert spectrum(noise(0.1)[: RATE_HZ // 2]).octaves() == ()


@pytest.mark.parametrize("mains_hz", [50, 60])
def test_hum_is_recognised_by_its_odd_harmonics(mains_hz):
    hum = tones(tuple(mains_hz * each for each in (1, 3, 5, 7)), 0.01) + noise(0.003)
    found = spectrum(hum).mains_hum()
    assert found is not None
    assert found.hz == mains_hz
    assert found.share > 0.9


@pytest.mark.parametrize(
    "sound",
    [
        tones((100, 200, 300, 400), 0.05) + noise(0.003),  # a motor hums at even harmonics
        machine_sound(5.0),
        noise(0.05),
        tones((50, 150, 250), 0.001) + noise(0.05),  # hum that the machine masks
        tones((50, 150, 250, 350), 0.01) + noise(0.05),  # a small part of the sound
        np.zeros(5 * RATE_HZ, np.float32),
    ],
    ids=["motor", "machine", "noise", "masked", "part", "zeros"],
)
def test_what_is_no_hum_is_not_reported(sound):
    assert spectrum(np.asarray(sound, np.float32)).mains_hum() is None


def test_each_defect_is_a_warning_with_its_remedy():
    loud = np.clip(10 * noise(0.3), -1, 1)
    cases = {
        "clipping": loud,
        "constant signal": np.full(SECONDS * RATE_HZ, 0.01, np.float32),
        "low level": noise(1e-4),
        "hum of the mains": tones((50, 150, 250, 350), 0.05) + noise(0.003),
    }
    for text, samples in cases.items():
        warnings = channel_warnings(heard(samples))
        assert len(warnings) == 1, warnings
        assert text in warnings[0]
        assert ": " in warnings[0]
    assert channel_warnings(heard(noise(0.05))) == ()


@pytest.mark.parametrize("silent", [noise(1e-5), np.zeros(SECONDS * RATE_HZ, np.float32)])
def test_a_silent_channel_suggests_the_one_with_sound(silent):
    good = heard(noise(0.05), channel=1)
    warnings = channel_warnings(heard(silent), [good])
    assert "choose #1" in warnings[0]
    assert channel_warnings(good, [heard(silent)]) == ()


def test_the_channel_that_is_tapped_reacts():
    tapped = noise(0.01)
    tapped[-8000:-7900] += 0.5
    far = noise(0.01, seed=2)
    far[-8000:-7900] += 0.15
    quiet = heard(noise(0.01, seed=3))
    assert reacting([quiet, heard(far), heard(tapped), None]) == 2
    assert reacting([quiet, quiet]) is None
    assert reacting([heard(tapped), heard(tapped)]) is None  # cannot be told apart
    assert reacting([]) is None


def test_a_tap_is_over_after_some_seconds():
    sound = np.concatenate([noise(0.01), noise(0.01, seed=2)])
    sound[SECONDS * RATE_HZ : SECONDS * RATE_HZ + 100] += 0.5
    assert reacting([heard(sound[: len(sound) - 2 * RATE_HZ])]) == 0
    assert reacting([heard(sound)]) is None


def test_a_tap_is_neither_clipping_nor_the_level():
    quiet = noise(1e-4)
    quiet[RATE_HZ : RATE_HZ + 800] = 1.0
    found = heard(quiet)
    assert found.levels.rms_dbfs == pytest.approx(-80, abs=1)
    [warning] = channel_warnings(found)
    assert "low level (-80 dBFS)" in warning
