"""A gapless stream of samples → overlapping windows with their features.

Every frame is computed once, whatever the overlap; a window's vectors are made from the
frames that lie wholly within it.  How the stream is cut into pieces does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asd_monitor.features import statistics
from asd_monitor.features.encoder import Encoder, EncoderStream
from asd_monitor.features.frames import History, PowerSpectra
from asd_monitor.features.front_end import FrontEnd
from asd_monitor.features.mel import mel_filters
from asd_monitor.features.pattern import Pattern
from asd_monitor.features.statistics import Vector
from asd_monitor.records import Samples

FINE_FRAMES = 8  # log-mel frames in one of the fine spectrum: 0.512 s, lines of 2 Hz
FINE_HOP_FRAMES = 4  # log-mel hops in one of the fine spectrum
RHYTHM_BANDS = 7
PIECE_S = 10.0  # a long recording is worked through in pieces, so that memory stays bounded


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One window; ``start`` and ``end`` count samples at the front end's rate."""

    start: int
    end: int
    features: Mapping[str, Vector]

    @property
    def rms_dbfs(self) -> float:
        """Level of the window."""
        return float(self.features["level"][0])


class WindowStream:
    """Makes the windows of one gapless stream; after a gap, begin a new one.

    Their features have the statistics by name, and each encoder's vectors by its views'.
    """

    def __init__(self, front_end: FrontEnd, encoders: Sequence[Encoder] = ()) -> None:
        """Begin; the encoders fit the front end (`Encoder.misfit`)."""
        self._front_end = front_end
        frame, hop = front_end.frame, front_end.frame_hop
        fine_frame, fine_hop = FINE_FRAMES * frame, FINE_HOP_FRAMES * hop
        self._spectra = PowerSpectra(frame, hop)
        self._mel = mel_filters(front_end.rate_hz, frame, front_end.mel_bands)
        self._coarse_mel = mel_filters(front_end.rate_hz, frame, statistics.ENVELOPE_BANDS)
        self._fine_spectra = PowerSpectra(fine_frame, fine_hop)
        self._lines = statistics.fine_lines(front_end.rate_hz, fine_frame)
        self._rhythm = statistics.Rhythm(
            front_end.window_frames, front_end.rate_hz / hop, RHYTHM_BANDS
        )
        self._pattern = Pattern(front_end.rate_hz / hop)
        self._log_mel = History(frame, hop)
        self._envelopes = History(frame, hop)
        self._fine = History(fine_frame, fine_hop)
        self._mean_squares = History(hop, hop)
        self._encoders = [EncoderStream(encoder) for encoder in encoders]
        self._squares_rest = np.zeros(0, np.float32)
        self._received = 0
        self._next = 0  # start of the next window

    def push(self, samples: Samples) -> list[Window]:
        """Return the windows that these samples complete."""
        piece = round(PIECE_S * self._front_end.rate_hz)
        return [
            window
            for start in range(0, len(samples), piece)
            for window in self._push_piece(samples[start : start + piece])
        ]

    def _push_piece(self, samples: Samples) -> list[Window]:
        self._received += len(samples)
        power = self._spectra.push(samples)
        floor = np.float32(statistics.LOG_FLOOR)
        self._log_mel.push(np.log10(np.maximum(power @ self._mel, floor)))
        self._envelopes.push(
            np.power(power @ self._coarse_mel, np.float32(statistics.ENVELOPE_POWER))
        )
        self._fine.push(self._fine_spectra.push(samples) @ self._lines)
        self._mean_squares.push(self._hop_mean_squares(samples))
        for encoder in self._encoders:
            encoder.push(samples)
        windows = []
        while self._next + self._front_end.window <= self._received:
            windows.append(self._window(self._next, self._next + self._front_end.window))
            self._next += self._front_end.hop
        for history in (self._log_mel, self._envelopes, self._fine, self._mean_squares):
            history.forget(self._next)
        for encoder in self._encoders:
            encoder.forget(self._next)
        return windows

    def _hop_mean_squares(self, samples: Samples) -> Samples:
        hop = self._front_end.frame_hop
        pending = np.concatenate([self._squares_rest, samples])
        whole = len(pending) // hop * hop
        self._squares_rest = pending[whole:].copy()
        squares = np.square(pending[:whole].reshape(-1, hop), dtype=np.float64)
        return np.asarray(squares.mean(1, keepdims=True), np.float32)

    def _window(self, start: int, end: int) -> Window:
        log_mel = self._log_mel.between(start, end)
        envelopes = self._envelopes.between(start, end)
        encoded = [encoder.between(start, end) for encoder in self._encoders]
        return Window(
            start,
            end,
            {
                "level": statistics.level(self._mean_squares.between(start, end)),
                "spectrum": statistics.spectrum(log_mel),
                "peaks": statistics.peaks(log_mel),
                "spread": statistics.spread(log_mel),
                "change": statistics.change(log_mel),
                "tone": statistics.tone(self._fine.between(start, end)),
                "texture": statistics.texture(envelopes),
                "rhythm": self._rhythm(envelopes),
                "pattern": self._pattern(log_mel),
                **{name: vector for vectors in encoded for name, vector in vectors.items()},
            },
        )
