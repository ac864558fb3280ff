"""Recognition of a microphone's faults: samples and spectra → suspicion, degraded, fault.

What the samples show (dropouts, clipping) is a finding at once.  What the spectrum shows is a
suspicion at first, and reported when it has lasted for `CONFIRM_S`.  Each is over when it has not
been found for a while.  A finding that no machine explains is a fault, others are `degraded`; a
fault that no longer is certain is `degraded` as well.

Time is the sample index; the division of the stream into blocks makes no difference.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.findings import Finding, FindingKind, MicrophoneCondition
from asd_monitor.microphone.recent_spectra import (
    SPAN_S,
    RecentSpectra,
    SpectralStatistics,
    Spectrum,
    ring_size,
)
from asd_monitor.microphone.sample_counter import COUNTED_S, SampleFaultCounter, SampleFaults
from asd_monitor.microphone.spectral_change import SpectralComparison
from asd_monitor.records import Block, MicrophoneState

CONFIRM_S = 5.0
"""A spectral finding that has lasted for this time is reported."""
CLEAR_S = 6.0
"""A finding that was not repeated for this time is over, and its certainty likewise."""
LINGER_S = 60.0
"""Dropouts are reported for this time after they are over, so that sporadic ones are one report.

After a fault they are `degraded`.  Where bursts of them come again and again, the sound between
them is evaluated: they are a fault again where they last for `SPAN_S`, in which a burst of some
seconds is counted."""
RESPONSE_S = 3600.0
"""Another response is taken as given after this time."""
PRESUMED_S = 600.0
"""A fault that a machine might explain as well is one for this time, then `degraded`…"""
FORGOTTEN_S = 3600.0
"""…unless sound of a running machine was evaluated for this time since, and it was not found."""
COMPARE_EVERY = 2
"""Every n-th window the spectra are compared, every one where that is rarer than `CLEAR_S`."""
MIN_COMPARISONS = 2
"""A finding is over no sooner than after so many windows without it."""
FAULT_RUNS = 3
"""Runs of equal samples in `COUNTED_S` that are a fault; one is a suspicion."""
FAULT_SHARE = 0.1
"""Share of `COUNTED_S` in runs, beyond what is usual, that is a fault, however few they are."""
RUNS_FACTOR, SHARE_FACTOR, CLIPPED_FACTOR = 2, 2.0, 3.0
"""More than so many times the counts of training is a finding."""
MIN_CLIPPED_SHARE = 1e-3
CAPTURES = "the microphone captures as in training"
ANOTHER_IS_GIVEN = (
    f"the sound has been that of another response for {RESPONSE_S / 60:g} minutes, which is taken "
    "as given from now on: where the microphone is another one, train again"
)


class MicrophoneRecognition:
    """The condition of one microphone, from the sound of one stream."""

    def __init__(self, baseline: MicrophoneBaseline, rate_hz: int) -> None:
        """Begin a stream with the sampling rate ``rate_hz``, with a microphone that is `ok`."""
        front_end = baseline.front_end
        self._samples = SampleFaultCounter(rate_hz)
        window = front_end.hop_s, front_end.window_s, rate_hz
        self._bands = RecentSpectra(front_end.mel_bands, *window)
        self._lines = RecentSpectra(baseline.lines.shape[1], *window)
        self._unusual: deque[bool] = deque(maxlen=ring_size(front_end.hop_s))  # of the windows
        self._windows = 0  # since the spectra were compared
        self._window = round(front_end.window_s * rate_hz)
        self._clear = self._shortest_clear = round(CLEAR_S * rate_hz)
        self._compare_every, self._interval = COMPARE_EVERY, 0
        self._span = round(SPAN_S * rate_hz)
        self._counted = round(COUNTED_S * rate_hz)
        self._response = round(RESPONSE_S * rate_hz)
        self._limit, self._forgotten = round(PRESUMED_S * rate_hz), round(FORGOTTEN_S * rate_hz)
        self._presumed = 0  # samples for which such a fault was found
        self._presumed_at: int | None = None  # sample index at which it was found last
        self._without = 0  # samples that were evaluated since then
        self._end: int | None = None  # of the newest window
        self._not_compared = 0  # samples in windows since the spectra were compared
        self._with_dropouts = 0  # samples in windows since one was without dropouts
        self._before: Spectrum | None = None  # before the capture was interrupted
        linger = round(LINGER_S * rate_hz)
        self._dropouts = _Persistence(0, self._clear, again=self._span, linger=linger)
        self._clipping = _Persistence(0, self._clear, again=0)
        self._of_spectra = _Persistence(round(CONFIRM_S * rate_hz), self._clear, again=self._clear)
        self._persistent = self._dropouts, self._of_spectra, self._clipping
        self.leaves_out_window = False
        """Whether the newest window contains dropouts: its score says nothing of the machine."""
        self.recovered = CAPTURES
        """Why the condition is `ok` where it has not been."""
        self.replace_baseline(baseline)

    def replace_baseline(self, baseline: MicrophoneBaseline) -> None:
        """Compare with another baseline of the same front end from the next window on."""
        self._baseline = baseline
        self._comparison = SpectralComparison(baseline)

    @property
    def condition(self) -> MicrophoneCondition:
        """The condition that has been recognised."""
        reported = [each.reported for each in self._persistent if each.reported is not None]
        if not reported:
            return MicrophoneCondition()
        stated = max(reported, key=lambda each: each.certain)
        state = MicrophoneState.FAULT if stated.certain else MicrophoneState.DEGRADED
        return MicrophoneCondition(state, stated.text)

    @property
    def suspected_since(self) -> int | None:
        """Sample index since which a fault is suspected; None: it is not."""
        since = [each.since for each in self._persistent if each.is_suspicion]
        return min((at for at in since if at is not None), default=None)

    @property
    def may_be_changed(self) -> bool:
        """Whether the sound may be that of a fault or of another response of the microphone.

        A louder machine explains clipping and a level, and dropouts change only the windows that
        contain them.
        """
        spectra = self._of_spectra
        return self.condition.is_fault or any(
            found is not None and found.is_suspicion for found in (spectra.newest, spectra.reported)
        )

    @property
    def faulty_since(self) -> int | None:
        """Sample index since which the sound is that of a fault; None: there is no fault.

        A change of the spectrum is found in the sound of `SPAN_S`.  Dropouts are a fault from the
        first of those on whose count made them certain: windows with earlier ones are left out.
        """
        begins = []
        dropouts, spectra = self._dropouts, self._of_spectra
        if dropouts.is_certain and dropouts.since is not None:
            certain = dropouts.since if dropouts.certain_since is None else dropouts.certain_since
            begins.append(max(dropouts.since, certain - self._counted))
        if spectra.is_certain and spectra.since is not None:
            begins.append(spectra.since - self._span)
        return min(begins, default=None)

    def push_samples(self, block: Block) -> None:
        """Count the faults in samples at the capture rate."""
        self._samples.push(block)

    def push_window(
        self, spectrum: Spectrum, lines: Spectrum, end: int, *, running: bool = True
    ) -> None:
        """Process the mean log-mel spectrum (b,) and the lines (l,) of the next window.

        The samples before ``end``, one past the last sample, have been pushed.  ``running`` is
        whether the machine runs in the window.
        """
        new = self._window if self._end is None else min(end - self._end, self._window)
        if self._end is not None and end - self._end <= self._window:  # no gap
            self._set_interval(end - self._end)
        self._end = end
        self._judge_samples(end, new)
        self._bands.push(spectrum, end)
        self._lines.push(lines, end)
        self._unusual.append(not self._comparison.is_usual(spectrum))
        self._not_compared += new
        self._windows += 1
        if self._windows >= self._compare_every:
            self._windows = 0
            self._compare(end)
        if running and not (self.leaves_out_window or self.condition.is_fault):
            self._without += new

    def _set_interval(self, interval: int) -> None:
        """Take note of the samples from window to window."""
        if interval == self._interval:
            return
        self._interval = interval
        self._compare_every = (
            1 if COMPARE_EVERY * interval > self._shortest_clear else COMPARE_EVERY
        )
        self._clear = max(self._shortest_clear, MIN_COMPARISONS * interval)
        for each in self._persistent:
            each.clear = self._clear

    def _compare(self, end: int) -> None:
        is_known = self._before is None and self._of_spectra.newest is None
        if is_known and not any(self._unusual):
            self._not_compared = 0
            return
        rows = self._bands.rows()
        if rows is not None:
            self._not_compared = 0
            self._update_spectra(end, self._spectral_finding(SpectralStatistics.of(rows)))
        elif self._not_compared >= self._clear + self._span:  # among gaps, never enough at a time
            self._of_spectra.update(end, None)

    def _update_spectra(self, end: int, found: Finding | None) -> None:
        spectra = self._of_spectra
        if found is not None:
            self.recovered = CAPTURES
            if found.certain and not found.excludes_machine:
                found = self._limited(found, end)
        spectra.update(end, found)
        since = spectra.since
        if self._is_of_response and since is not None and end - since >= self._response:
            spectra.end()
            self._before, self.recovered = None, ANOTHER_IS_GIVEN

    def _limited(self, found: Finding, end: int) -> Finding:
        """Return the finding, no longer certain once it has lasted for `PRESUMED_S`."""
        if self._without > self._forgotten:
            self._presumed = 0
        elif self._presumed_at is not None and end - self._presumed_at <= self._clear:
            self._presumed += end - self._presumed_at
        self._presumed_at, self._without = end, 0
        if self._presumed < self._limit:
            return found
        return replace(found, certain=False)

    def interrupt(self) -> None:
        """Process an interrupted capture: the microphone may be another one after it."""
        rows = self._bands.rows()
        if rows is not None and not self._is_of_response:
            self._before = SpectralStatistics.of(rows).median
        self._bands.clear()
        self._lines.clear()
        self._unusual.clear()

    @property
    def _is_of_response(self) -> bool:
        newest = self._of_spectra.newest
        return newest is not None and newest.kind is FindingKind.RESPONSE

    def _judge_samples(self, end: int, new: int) -> None:
        """Judge the samples before ``end``, of which ``new`` are of no earlier window."""
        counts = self._samples.before(end)
        usual = self._baseline.samples
        missing = counts.missing_share - SHARE_FACTOR * usual.missing_share
        has_dropouts = (
            counts.constant_runs > RUNS_FACTOR * usual.constant_runs or missing >= FAULT_SHARE
        )
        is_unusual = has_dropouts or not usual.constant_runs
        self.leaves_out_window = is_unusual and self._samples.has_run(end - self._window, end)
        self._with_dropouts = self._with_dropouts + new if self.leaves_out_window else 0
        self._dropouts.update(end, self._dropout_finding(counts) if has_dropouts else None)
        self._clipping.update(end, self._clipping_finding(counts))

    def _dropout_finding(self, counts: SampleFaults) -> Finding:
        return Finding(
            FindingKind.DROPOUTS,
            certain=counts.constant_runs >= FAULT_RUNS
            or counts.missing_share >= FAULT_SHARE
            or self._with_dropouts >= self._span,
            text="dropouts: runs of equal samples, which the training sound does not have: "
            "check cable, USB port and driver of the microphone",
        )

    def _clipping_finding(self, counts: SampleFaults) -> Finding | None:
        limit = max(MIN_CLIPPED_SHARE, CLIPPED_FACTOR * self._baseline.samples.clipped_share)
        if counts.clipped_share <= limit:
            return None
        return Finding(
            FindingKind.CLIPPING,
            certain=False,
            text=f"clipping: more than {100 * limit:.2g} % of the samples are at full scale: "
            "lower the gain (`alsamixer`)",
        )

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
            if not comparison.is_of_mode(recent):
                found = comparison.response(recent, self._before)
            if found is None and not self._is_of_response:
                self._before = None  # the same microphone as before
        return found


class _Persistence:
    """How long findings of one kind of source have lasted, and which one is reported."""

    def __init__(self, confirm: int, clear: int, *, again: int, linger: int = 0) -> None:
        """Begin without a finding.

        Args:
            confirm: samples for which a finding lasts before it is reported.
            clear: samples without the finding after which it is over, or after which it is not
                certain any more.
            again: samples for which a finding lasts before it is certain again.
            linger: samples for which a finding is reported as uncertain once it is over.

        """
        self.clear = clear
        self._confirm = confirm
        self._again, self._linger = again, linger
        self.newest: Finding | None = None
        """The newest finding, until it is over."""
        self.reported: Finding | None = None
        self.since: int | None = None
        """Sample index of the first of the findings of this kind."""
        self.certain_since: int | None = None
        """Sample index since which the findings have been certain."""
        self._seen = self._certain_seen = 0  # sample index of the newest finding of each
        self._was_certain = False  # of what is reported: it was, and is not any more

    @property
    def is_suspicion(self) -> bool:
        """Whether the newest finding can delay an alarm."""
        return self.newest is not None and self.newest.is_suspicion

    @property
    def is_certain(self) -> bool:
        """Whether what is reported is certain."""
        return self.reported is not None and self.reported.certain

    def update(self, at: int, found: Finding | None) -> None:
        """Process what was found, or that nothing was."""
        if found is None:
            self._age(at)
            return
        is_same = self.newest is not None and found.kind is self.newest.kind
        if self.since is None or not is_same or at - self._seen > self.clear:
            self.since, self.certain_since = at, None
        self.newest, self._seen = found, at
        if not found.certain:
            self.certain_since = None
        else:
            self._certain_seen = at
            if self.certain_since is None:
                self.certain_since = at
        needed = self._again if self._was_certain else self._confirm
        certain = self.certain_since is not None and at - self.certain_since >= needed
        if self.reported is not None and self.reported.kind is found.kind:
            if certain and not self.reported.certain:
                self.reported = found
            elif self.reported.certain and at - self._certain_seen >= self.clear:
                self.reported, self._was_certain = found, True
        elif at - self.since >= self._confirm and certain == found.certain:
            self.reported, self._was_certain = found, False

    def _age(self, at: int) -> None:
        """Process that nothing was found."""
        if self.newest is not None and at - self._seen >= self.clear:
            self.newest = self.since = self.certain_since = None
        if self.newest is not None or self.reported is None:
            return
        if self._linger and self.reported.certain:
            self.reported, self._was_certain = replace(self.reported, certain=False), True
        if at - self._seen >= self._linger:
            self.reported, self._was_certain = None, False

    def end(self) -> None:
        """End the finding: what is found is taken as given."""
        self.newest = self.reported = self.since = self.certain_since = None
        self._was_certain = False
