"""Modal synthesis: impacts that excite the resonances of a structure.

The structure is a bank of exponentially decaying sinusoids, its modes; an impact is a short
pulse, and the sound is the convolution of the two (J.-M. Adrien, "The missing link: modal
synthesis", in De Poli, Piccialli and Roads, Representations of Musical Signals, 1991; K. van
den Doel and D. K. Pai, "The sounds of physical shapes", Presence 7(4), 1998).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asd_monitor.synthesis.filtering import Signal, convolve
from asd_monitor.synthesis.machine_spec import Mode

_CONTACT_S = 0.0004  # rise time: two bodies stay in contact for a fraction of a millisecond
_HIGHEST = 0.47  # of the sampling rate


def draw_modes(
    low_hz: float,
    high_hz: float,
    count: int,
    rng: np.random.Generator,
    decay_s: tuple[float, float] = (0.002, 0.03),
) -> tuple[Mode, ...]:
    """Draw `count` modes, uniform in log frequency; decay times shorten with the frequency."""
    modes = []
    for hz in np.sort(np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), count))):
        decay = np.exp(rng.uniform(*np.log(decay_s))) * min(1.0, (1000.0 / hz) ** 0.5 + 0.2)
        modes.append(Mode(float(hz), float(decay), float(rng.uniform(0.3, 1.0))))
    return tuple(modes)


def modal_impulse_response(modes: tuple[Mode, ...], rate_hz: int) -> Signal:
    """Return the impulse response of the modes, of unit energy, six decay times long.

    Modes above 0.47 of the rate are left out.
    """
    kept = [mode for mode in modes if mode.frequency_hz < _HIGHEST * rate_hz] or [
        Mode(0.2 * rate_hz, modes[0].decay_s, 1.0)
    ]
    time = np.arange(int(6.0 * max(mode.decay_s for mode in kept) * rate_hz) + 8) / rate_hz
    total = np.zeros(len(time))
    for mode in kept:
        attack = 1.0 - np.exp(-time / _CONTACT_S)
        envelope = attack * np.exp(-time / mode.decay_s)
        total += mode.gain * envelope * np.sin(2.0 * np.pi * mode.frequency_hz * time)
    return total / float(np.sqrt(np.sum(total**2)))


def excite_modes(
    n: int,
    rate_hz: int,
    positions: npt.ArrayLike,
    amplitudes: npt.ArrayLike,
    modes: tuple[Mode, ...],
) -> Signal:
    """Return the sound (n,) of impacts at fractional sample positions.

    An impact of amplitude 1 has unit energy.  Positions outside 0 … n − 1 are left out; those
    between two samples are divided between them linearly.
    """
    at = np.asarray(positions, dtype=np.float64)
    weights = np.broadcast_to(np.asarray(amplitudes, dtype=np.float64), at.shape)
    inside = (at >= 0.0) & (at < n - 1.0)
    if not inside.any():
        return np.zeros(n)
    at, weights = at[inside], weights[inside]
    left = at.astype(np.intp)
    part = at - left
    pulses = np.zeros(n)
    pulses += np.bincount(left, weights * (1.0 - part), minlength=n)
    pulses += np.bincount(left + 1, weights * part, minlength=n)[:n]
    return convolve(pulses, modal_impulse_response(modes, rate_hz))
