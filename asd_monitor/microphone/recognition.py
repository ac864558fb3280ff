"""Recognition of a microphone's faults: samples and spectra → suspicion, degraded, fault.

What the samples show (dropouts, clipping) is a finding at once.  What the spectrum shows is a
suspicion at first, and reported when it has lasted for `CONFIRM_S`.  Both are over when they have
not been found for a while.  A finding that no machine explains is a fault, others are `degraded`.

Time is the sample index; the division of the stream into blocks makes no difference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.findings import Finding, FindingKind, MicrophoneCondition
from asd_monitor.microphone.recent_spectra import (
    RecentSpectra,
    SpectralStatistics,
    Spectrum,
    ring_size,
)
from asd_monitor.microphone.sample_counter import SampleFaultCounter
from asd_monitor.microphone.spectral_change import SpectralComparison
from asd_monitor.records import Block, MicrophoneState

CONFIRM_S = 5.0
"""A spectral finding that has lasted for this time is reported."""
CLEAR_S = 6.0
"""A finding that was not repeated for this time is over."""
COMPARE_EVERY = 2
"""Every n-th window the spectra are compared."""
FAULT_RUNS = 3
"""Runs of equal samples in `SPAN_S` of the samples that are a fault; one is a suspicion."""
RUNS_FACTOR, CLIPPED_FACTOR = 2, 3.0
"""More than so many times the highest counts of training is a finding."""
MIN_CLIPPED_SHARE = 1e-3


class MicrophoneRecognition:
    """The condition of one microphone, from the sound of one stream."""

    def __init__(self, baseline: MicrophoneBaseline, rate_hz: int) -> None:
        """Begin a stream with the sampling rate ``rate_hz``, with a microphone that is `ok`."""
        front_end = baseline.front_end
        self._rate_hz = rate_hz
        self._samples = SampleFaultCounter(rate_hz)
        window = front_end.hop_s, front_end.window_s, rate_hz
        self._bands = RecentSpectra(front_end.mel_bands, *window)
        self._lines = RecentSpectra(baseline.lines.shape[1], *window)
        self._unusual: deque[bool] = deque(maxlen=ring_size(front_end.hop_s))  # of the windows
        self._windows = 0  # since the spectra were compared
        self._before: Spectrum | None = None  # before the capture was interrupted
        self._of_samples = _Persistence(0, round(CLEAR_S * rate_hz))
        self._of_spectra = _Persistence(round(CONFIRM_S * rate_hz), round(CLEAR_S * rate_hz))
        self.replace_baseline(baseline)

    def replace_baseline(self, baseline: MicrophoneBaseline) -> None:
        """Compare with another baseline of the same front end from the next window on."""
        self._baseline = baseline
        self._comparison = SpectralComparison(baseline)

    @property
    def condition(self) -> MicrophoneCondition:
        """The condition that has been recognised."""
        found = [each.reported for each in self._persistent if each.reported is not None]
        if not found:
            return MicrophoneCondition()
        first = max(found, key=lambda each: each.certain)
        state = MicrophoneState.FAULT if first.certain else MicrophoneState.DEGRADED
        return MicrophoneCondition(state, first.text)

    @property
    def suspected_since(self) -> int | None:
        """Sample index since which a fault is suspected; None: it is not."""
        since = [each.since for each in self._persistent if each.is_suspicion]
        return min((at for at in since if at is not None), default=None)

    @property
    def _persistent(self) -> Sequence[_Persistence]:
        return self._of_samples, self._of_spectra

    def push_samples(self, block: Block) -> None:
        """Count the faults in samples at the capture rate."""
        self._samples.push(block)

    def push_window(self, spectrum: Spectrum, lines: Spectrum, end: int) -> None:
        """Process the mean log-mel spectrum (b,) and the lines (l,) of the next window.

        The samples before ``end``, one past the last sample, have been pushed.
        """
        self._of_samples.update(end, self._sample_finding(end))
        self._bands.push(spectrum, end)
        self._lines.push(lines, end)
        self._unusual.append(not self._comparison.is_usual(spectrum))
        self._windows += 1
        if self._windows >= COMPARE_EVERY:
            self._windows = 0
            self._compare(end)

    def _compare(self, end: int) -> None:
        is_known = self._before is None and self._of_spectra.newest is None
        if is_known and not any(self._unusual):
            return
        rows = self._bands.rows()
        if rows is not None:
            self._of_spectra.update(end, self._spectral_finding(SpectralStatistics.of(rows)))

    def gap(self) -> None:
        """Process a gap in the sound: the ten seconds begin anew, the condition stays."""
        self._bands.clear()
        self._lines.clear()
        self._unusual.clear()

    def interrupt(self) -> None:
        """Process an interrupted capture: the microphone may be another one after it."""
        rows = self._bands.rows()
        if rows is not None and not self._is_of_response:
            self._before = SpectralStatistics.of(rows).median
        self.gap()

    @property
    def _is_of_response(self) -> bool:
        newest = self._of_spectra.newest
        return newest is not None and newest.kind is FindingKind.RESPONSE

    def _sample_finding(self, end: int) -> Finding | None:
        found, trained = self._samples.before(end), self._baseline.samples
        if found.constant_runs > RUNS_FACTOR * trained.constant_runs:
            return Finding(
                FindingKind.DROPOUTS,
                certain=found.constant_runs >= FAULT_RUNS,
                text="dropouts: runs of equal samples, which the training sound does not have: "
                "check cable, USB port and driver of the microphone",
            )
        limit = max(MIN_CLIPPED_SHARE, CLIPPED_FACTOR * trained.clipped_share)
        if found.clipped_share > limit:
            return Finding(
                FindingKind.CLIPPING,
                certain=False,
                text=f"clipping: more than {100 * limit:.2g} % of the samples are at full scale: "
                "lower the gain (`alsamixer`)",
            )
        return None

    def _spectral_finding(self, recent: SpectralStatistics) -> Finding | None:
        comparison = self._comparison
        if comparison.may_hum(recent):
            rows = self._lines.rows()
            if rows is not None:
                hum = comparison.hum(recent, SpectralStatistics.of(rows).median)
                if hum is not None:
                    return hum
        found = comparison.covered(recent) or comparison.level(recent)
        if found is None and self._before is not None:
            found = comparison.response(recent, self._before)
            if found is None and not self._is_of_response:
                self._before = None  # the same microphone as before
        return found


class _Persistence:
    """How long findings of one source have lasted, and which one is reported."""

    def __init__(self, confirm: int, clear: int) -> None:
        self._confirm, self._clear = confirm, clear  # samples
        self.newest: Finding | None = None
        """The newest finding, until it is over."""
        self.reported: Finding | None = None
        self.since: int | None = None
        """Sample index of the first of the findings of this kind."""
        self._certain_since: int | None = None
        self._seen = 0  # sample index of the newest finding

    @property
    def is_suspicion(self) -> bool:
        """Whether the newest finding can delay an alarm."""
        return self.newest is not None and self.newest.is_suspicion

    def update(self, at: int, found: Finding | None) -> None:
        """Process what was found, or that nothing was."""
        if found is None:
            if self.newest is not None and at - self._seen >= self._clear:
                self.newest = self.reported = self.since = self._certain_since = None
            return
        if self.since is None or self.newest is None or found.kind is not self.newest.kind:
            self.since, self._certain_since = at, None
        if not found.certain:
            self._certain_since = None
        elif self._certain_since is None:
            self._certain_since = at
        self.newest, self._seen = found, at
        certain = self._certain_since is not None and at - self._certain_since >= self._confirm
        if self.reported is not None and self.reported.kind is found.kind:
            if certain and not self.reported.certain:
                self.reported = found
        elif at - self.since >= self._confirm and certain == found.certain:
            self.reported = found
