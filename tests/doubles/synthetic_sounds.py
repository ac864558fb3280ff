"""Short synthetic sounds of a machine, determined by a seed, and files of them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

Sound = npt.NDArray[np.float32]


def machine_sound(
    seconds: float,
    *,
    rate_hz: int = 16000,
    seed: int = 0,
    gain: float = 0.1,
    fault: float = 0.0,
) -> Sound:
    """Return harmonics of 50 Hz and low-pass noise, modulated at 4 Hz; float32 (n,).

    The noise reaches to half the rate: at another rate it has another level in each band.  `fault`
    is the amplitude of a tone at 2.7 kHz, or at 0.3 of a low rate, modulated at 13 Hz.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    hum = sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in (1, 2, 4, 7))
    noise = rng.normal(size=len(t))
    noise = noise + np.concatenate(([0.0], noise[:-1]))
    modulation = 1 + 0.4 * np.sin(2 * np.pi * 4 * t + rng.uniform(0, 6))
    sound = 0.3 * hum + 0.5 * modulation * noise
    if fault:
        tone_hz = min(2700.0, 0.3 * rate_hz)
        sound = sound + fault * np.sin(2 * np.pi * tone_hz * t) * (1 + np.sin(2 * np.pi * 13 * t))
    return (gain * sound).astype(np.float32)


def write(path: Path, sound: npt.ArrayLike, rate_hz: int = 16000, subtype: str = "PCM_16") -> Path:
    """Write a recording, (n,) or (n, channels), with the folders of its path; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.asarray(sound), rate_hz, subtype)
    return path
