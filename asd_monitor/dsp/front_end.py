"""The parameters of the front end: frames, mel bands and windows.

They are part of a bundle; the daemon takes every one of them from there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from asd_monitor.dsp.mel import hz_to_mel

MAX_RATE_HZ = 16_000
MIN_RATE_HZ = 4_000
FRAME_HOP_S = 0.032
FULL_RATE_BANDS, MIN_BANDS = 128, 16
MIN_WINDOW_S = 0.65
"""A window of this length holds a frame of the fine spectrum wherever it starts."""


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """Short-time Fourier transform, mel bands and windows.

    Sound below 16 kHz keeps its own rate and the same durations.  Of the 128 mel bands it has
    only those below its Nyquist frequency.
    """

    rate_hz: int = MAX_RATE_HZ
    frame: int = 1024  # samples, Hann
    frame_hop: int = 512  # samples
    mel_bands: int = FULL_RATE_BANDS  # Slaney, 0 Hz to rate_hz / 2
    window_frames: int = 61
    hop_frames: int = 16

    @property
    def frame_period_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.frame_hop / self.rate_hz

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.rate_hz / self.frame_hop

    @property
    def window(self) -> int:
        """Samples of one window."""
        return (self.window_frames - 1) * self.frame_hop + self.frame

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return self.hop_frames * self.frame_hop

    @property
    def window_s(self) -> float:
        """Seconds of one window."""
        return self.window / self.rate_hz

    @property
    def hop_s(self) -> float:
        """Seconds from one window to the next."""
        return self.hop / self.rate_hz

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as a bundle's manifest stores them."""
        return asdict(self)


def front_end_for(sound_rate_hz: int, window_s: float = 1.984, hop_s: float = 0.512) -> FrontEnd:
    """Return the front end for sound of this rate; window and hop are rounded to whole frames.

    Raises ValueError for a rate below 4 kHz, a window shorter than 0.65 s or a hop of 0 or less.
    """
    if sound_rate_hz < MIN_RATE_HZ:
        raise ValueError(f"sound of {sound_rate_hz} Hz is too low: at least {MIN_RATE_HZ} Hz")
    if window_s < MIN_WINDOW_S or hop_s <= 0:
        raise ValueError(f"a window lasts at least {MIN_WINDOW_S} s, and its hop is above 0")
    rate_hz = min(MAX_RATE_HZ, sound_rate_hz)
    frame_hop = round(FRAME_HOP_S * rate_hz)
    frame = 2 * frame_hop
    return FrontEnd(
        rate_hz=rate_hz,
        frame=frame,
        frame_hop=frame_hop,
        mel_bands=_bands_below(rate_hz / 2),
        window_frames=max(1, round((window_s * rate_hz - frame) / frame_hop)) + 1,
        hop_frames=max(1, round(hop_s * rate_hz / frame_hop)),
    )


def _bands_below(high_hz: float) -> int:
    """Return how many of the 128 bands of 0–8 kHz lie below ``high_hz``, at least 16."""
    share = float(hz_to_mel(high_hz)) / float(hz_to_mel(MAX_RATE_HZ / 2))
    return max(MIN_BANDS, min(FULL_RATE_BANDS, round(FULL_RATE_BANDS * share)))
