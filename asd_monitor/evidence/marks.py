"""The place of each finding in the sound of an alarm: from when to when, and its frequencies.

A finding says what differs in a part of the sound.  Its measure (the level of its band,
the prominence of its tone, the impulsiveness or modulation of its envelope) is followed through the
whole sound, and the step is found at which it changes: the least-squares estimate of a change point
(D. V. Hinkley, "Inference about the change-point in a sequence of random variables", Biometrika 57,
1970).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_monitor.dsp.frames import hann
from asd_monitor.dsp.short_time_transform import ShortTimeTransform
from asd_monitor.evidence.sound_span import KeptSound
from asd_monitor.explanation.band_layout import ENVELOPE_HZ, band_layout
from asd_monitor.explanation.envelopes import TINY, squared_envelopes
from asd_monitor.explanation.findings import Finding, FindingKind
from asd_monitor.explanation.sentence import MAX_FINDINGS, text_of
from asd_monitor.explanation.sound_analysis import conditioned
from asd_monitor.records import Samples

STEP_S = 0.25
_FRAME_S = 0.256
_SLOW_S, _SLOWEST_S = 1.0, 3.0
"""Length over which impulsiveness and modulation are measured."""
_CYCLES = 5.0  # of a modulation within that length
_SPREAD_QUANTILE = 0.97
_SMOOTHED = 3  # values of an envelope, of 1 ms each
_LEAST_SPREADS = 2.5
"""A change point counts where the means of both sides differ by so many standard deviations."""
_LEAST_S = 0.75  # on each side of a change point
_END_SHARE = 0.6  # of the rise that is gone where a finding ends
_SHOWN_TONE = 0.04  # a box around a tone is that wide in frequency, at least

_OF_A_RATE = frozenset({FindingKind.IMPACTS, FindingKind.MODULATION})
_VARYING = frozenset({FindingKind.IRREGULAR_IMPACTS, FindingKind.GAPS, FindingKind.RHYTHM})
_TONES = frozenset({FindingKind.TONE, FindingKind.MISSING_TONE})

Series = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding and its place."""

    finding: Finding
    text: str
    from_s: float  # from the first sample of the sound
    to_s: float
    is_located: bool
    """Whether its begin was found; otherwise all of the sound that was explained is marked."""
    impacts_s: tuple[float, ...] = ()  # times of impacts, from the first sample of the sound

    @property
    def from_hz(self) -> float:
        """Lower edge of its box."""
        finding = self.finding
        if finding.kind in _TONES:
            return min(finding.from_hz, finding.place_hz * (1.0 - _SHOWN_TONE))
        return finding.from_hz

    @property
    def to_hz(self) -> float:
        """Upper edge of its box."""
        finding = self.finding
        if finding.kind in _TONES:
            return max(finding.to_hz, finding.place_hz * (1.0 + _SHOWN_TONE))
        return finding.to_hz


def marks_of(
    findings: Sequence[Finding],
    sound: KeptSound,
    rate_hz: int,
    raised: int,
    explained: tuple[int, int],
) -> tuple[Mark, ...]:
    """Return the places of the findings that the sentence of an alarm names.

    Args:
        findings: the most telling first; the times of impacts are from the first sample of the
            sound.
        sound: that of the alarm, as captured.
        rate_hz: of the profile that the findings are from.
        raised: sample index at which the alarm was raised.
        explained: of the sound that the findings are of, sample index of the first sample and of
            one past the last; what has no begin is marked in all of it.

    """
    if not findings:
        return ()
    analysed = _Analysed(conditioned(sound.samples, sound.rate_hz, rate_hz), rate_hz)
    raised_s = min(sound.seconds, max(0.0, sound.at_s(raised)))
    begin_s, end_s = (min(sound.seconds, max(0.0, sound.at_s(at))) for at in explained)
    return tuple(
        _mark(each, analysed, (begin_s, end_s), raised_s=raised_s, seconds=sound.seconds)
        for each in findings[:MAX_FINDINGS]
    )


def _mark(
    finding: Finding,
    sound: _Analysed,
    explained_s: tuple[float, float],
    *,
    raised_s: float,
    seconds: float,
) -> Mark:
    found = None if finding.kind is FindingKind.SPEED else _place(finding, sound, raised_s)
    from_s, to_s = explained_s if found is None else found
    return Mark(
        finding,
        text_of(finding),
        from_s,
        min(to_s, seconds),
        is_located=found is not None,
        impacts_s=finding.times_s,
    )


@dataclass(frozen=True, eq=False)
class _Analysed:
    """Conditioned sound with its measures over time."""

    samples: Samples
    rate_hz: int

    def levels_db(self, from_hz: float, to_hz: float) -> Series:
        """Return the level (steps,) of a band, of each step of `STEP_S`."""
        inside = self._lines(from_hz, to_hz)
        return self._stepped(10.0 * np.log10(self._power()[:, inside].sum(1) + TINY))

    def prominence_db(self, hz: float, half_hz: float) -> Series:
        """Return the level (steps,) of a tone above that of its neighbourhood."""
        power = self._power()
        tone = power[:, self._lines(hz - half_hz, hz + half_hz)].max(1)
        around = [
            power[:, self._lines(hz - 10 * half_hz, hz - 2 * half_hz)],
            power[:, self._lines(hz + 2 * half_hz, hz + 10 * half_hz)],
        ]
        background = np.median(np.concatenate(around, axis=1), axis=1)
        return self._stepped(10.0 * np.log10((tone + TINY) / (background + TINY)))

    def spread_db(self, from_hz: float, to_hz: float, span_s: float) -> Series:
        """Return how far the envelope of a band rises above its median in ``span_s``, (steps,)."""
        found = []
        for part in self._parts(from_hz, to_hz, span_s):
            high, usual = np.quantile(part, _SPREAD_QUANTILE), np.median(part)
            found.append(10.0 * np.log10((high + TINY) / (usual + TINY)))
        return np.asarray(found)

    def modulation_db(self, from_hz: float, to_hz: float, rate_hz: float, span_s: float) -> Series:
        """Return the modulation (steps,) of a band at a rate, in ``span_s``; 0 dB is a full one."""
        found = []
        for part in self._parts(from_hz, to_hz, span_s):
            angles = 2j * np.pi * rate_hz / ENVELOPE_HZ * np.arange(len(part))
            wave = hann(len(part)) * np.exp(-angles)
            relative = part / (part.mean() + TINY) - 1.0
            depth = 2.0 * abs(np.sum(relative * wave)) / max(1e-9, float(hann(len(part)).sum()))
            found.append(20.0 * np.log10(depth + 1e-3))
        return np.asarray(found)

    def _parts(self, from_hz: float, to_hz: float, span_s: float) -> Iterator[Series]:
        """Yield the smoothed envelope of a band around the middle of each step."""
        layout = band_layout(self.rate_hz)
        inside = [
            at
            for at, (low, high) in enumerate(layout.envelope_bands_hz)
            if min(high, to_hz) - max(low, from_hz) > 0.3 * (high - low)
        ]
        envelopes = squared_envelopes(self.samples.astype(np.float64), layout)
        band = envelopes[inside or [len(envelopes) // 2]].sum(0)
        smooth = np.convolve(band, np.ones(_SMOOTHED) / _SMOOTHED, mode="same")
        step, half = round(STEP_S * ENVELOPE_HZ), round(span_s * ENVELOPE_HZ / 2)
        for middle in range(step // 2, len(smooth), step):
            yield smooth[max(0, middle - half) : middle + half]

    def _power(self) -> npt.NDArray[np.float32]:
        """Return the power (frames, lines) of half-overlapped frames."""
        frame = self._frame
        samples = self.samples
        if len(samples) < frame:
            samples = np.concatenate([samples, np.zeros(frame - len(samples), np.float32)])
        frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[:: frame // 4]
        spectra = ShortTimeTransform(hann(frame))(np.ascontiguousarray(frames))
        return np.asarray(spectra.real**2 + spectra.imag**2)

    @property
    def _frame(self) -> int:
        return round(_FRAME_S * self.rate_hz)

    def _lines(self, from_hz: float, to_hz: float) -> slice:
        """Return the lines of a band; at least one."""
        per_hz, count = self._frame / self.rate_hz, self._frame // 2 + 1
        first = min(count - 1, max(1, round(from_hz * per_hz)))
        return slice(first, max(first + 1, min(count, round(to_hz * per_hz) + 1)))

    def _stepped(self, frames: Series) -> Series:
        """Return the means (steps,) of values (frames,), a quarter of a frame apart."""
        each = round(STEP_S / (_FRAME_S / 4))
        count = max(1, len(frames) // each)
        whole = frames[: count * each] if len(frames) >= each else frames
        return np.asarray(whole.reshape(count, -1).mean(1))


def _place(finding: Finding, sound: _Analysed, raised_s: float) -> tuple[float, float] | None:
    """Return from when to when a finding is in the sound; None: its begin is not in it."""
    measure, blur_s = _measure(finding, sound)
    at = min(len(measure), max(1, round(raised_s / STEP_S)))
    least = round(_LEAST_S / STEP_S)
    begin = _change_point(measure[:at], least, rising=True)
    if begin is None:
        return None
    rise = float(np.median(measure[begin:at]) - np.median(measure[:begin]))
    end = len(measure)
    fall = _change_point(measure[begin:], least, rising=False)
    if fall is not None and begin + fall >= at - least:
        after = float(np.median(measure[begin + fall :]))
        if float(np.median(measure[begin : begin + fall])) - after >= _END_SHARE * rise:
            end = begin + fall
    if end == len(measure):
        return begin * STEP_S + blur_s, math.inf
    from_s = begin * STEP_S + blur_s
    return from_s, max(from_s, end * STEP_S - blur_s)


def _measure(finding: Finding, sound: _Analysed) -> tuple[Series, float]:
    """Return what rises where a finding begins, in dB, and by how much it is early, in s."""
    low_hz, high_hz = finding.from_hz, finding.to_hz
    if finding.kind in _TONES:
        half_hz = max((high_hz - low_hz) / 2, 0.004 * finding.place_hz, 6.0)
        prominence = sound.prominence_db(finding.place_hz, half_hz)
        return (prominence if finding.kind is FindingKind.TONE else -prominence), 0.0
    if finding.kind in _OF_A_RATE and finding.rate_hz is not None:
        span_s = max(_SLOW_S, min(_SLOWEST_S, _CYCLES / finding.rate_hz))
        return sound.modulation_db(low_hz, high_hz, finding.rate_hz, span_s), 0.25 * span_s
    if finding.kind in _VARYING:
        return sound.spread_db(low_hz, high_hz, _SLOW_S), 0.25 * _SLOW_S
    sign = -1.0 if finding.change_db < 0.0 else 1.0
    return sign * sound.levels_db(low_hz, high_hz), 0.0


def _change_point(values: Series, least: int, *, rising: bool) -> int | None:
    """Return the step at which values (n,) rise, or fall; None: they do not clearly."""
    count = len(values)
    if count < 2 * least:
        return None
    limited = np.clip(values, *np.quantile(values, (0.02, 0.98)))
    sums, squares = np.cumsum(limited), np.cumsum(limited**2)
    at = np.arange(least, count - least + 1)
    left = squares[at - 1] - sums[at - 1] ** 2 / at
    right = squares[-1] - squares[at - 1] - (sums[-1] - sums[at - 1]) ** 2 / (count - at)
    split = int(at[np.argmin(left + right)])
    before, after = limited[:split], limited[split:]
    difference = float(after.mean() - before.mean()) * (1.0 if rising else -1.0)
    spread = float(np.sqrt((before.var() * split + after.var() * (count - split)) / count))
    return split if difference >= max(_LEAST_SPREADS * spread, 1.0) else None
