"""The path from a machine to the microphone: reverberation and band limits.

The reverberation is Gaussian noise under an exponential decay (J. A. Moorer, "About this
reverberation business", Computer Music Journal 3(2), 1979).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from asd_monitor.synthesis.filtering import Signal, fast_fft_length
from asd_monitor.synthesis.machine_spec import Room

_FIRST_REFLECTION_S = 0.002


def apply_room(signal: Signal, room: Room, rate_hz: int, seed: int) -> Signal:
    """Return the signal (n,) as it arrives at the microphone, of about the same RMS.

    The impulse response depends on the room and on `seed` alone, so that it is the same in
    each recording of a machine.
    """
    tail = int(5.0 * room.decay_s * rate_hz) + 1
    size = fast_fft_length(len(signal) + tail)
    spectrum = np.fft.rfft(signal, size) * _transfer_function(room, rate_hz, seed, tail, size)
    return np.fft.irfft(spectrum, size)[: len(signal)] / float(np.hypot(1.0, room.wet))


@lru_cache(maxsize=16)  # a machine is rendered many times in its room; each entry takes 1 MB
def _transfer_function(
    room: Room, rate_hz: int, seed: int, tail: int, size: int
) -> npt.NDArray[np.complex128]:
    rng = np.random.default_rng((seed, 1))
    reverberation = rng.standard_normal(tail) * np.exp(-np.arange(tail) / (room.decay_s * rate_hz))
    reverberation[: int(_FIRST_REFLECTION_S * rate_hz)] = 0.0
    impulse = room.wet * reverberation / float(np.sqrt(np.sum(reverberation**2)))
    impulse[0] += 1.0
    hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
    band = (hz**2 / (hz**2 + room.low_cut_hz**2)) / np.sqrt(1.0 + (hz / room.high_cut_hz) ** 4)
    response: npt.NDArray[np.complex128] = np.fft.rfft(impulse, size) * band
    return response
