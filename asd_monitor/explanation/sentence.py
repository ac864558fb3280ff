"""Findings → one sentence of plain technical English."""

from __future__ import annotations

from collections.abc import Sequence

from asd_monitor.explanation.bearing import rate_source
from asd_monitor.explanation.findings import Finding, FindingKind
from asd_monitor.records import MachineGeometry
from asd_monitor.wording import named_period

MAX_CHARS = 200
MAX_FINDINGS = 3
USUAL_SCALE_S = 10.0
"""Up to this time scale a sentence does not name it."""


def sentence_of(
    findings: Sequence[Finding],
    time_scale_s: float | None = None,
    geometry: MachineGeometry | None = None,
) -> str:
    """Return a sentence with the first findings, of at most `MAX_CHARS` characters.

    Raises ValueError where there is none.
    """
    if not findings:
        raise ValueError("a sentence needs a finding")
    return joined([text_of(each, geometry) for each in findings[:MAX_FINDINGS]], time_scale_s)


def joined(parts: Sequence[str], time_scale_s: float | None = None) -> str:
    """Return the parts as one sentence; the last ones are omitted where it would be too long."""
    slow = _slow(time_scale_s)
    text = parts[0]
    for part in parts[1:]:
        if len(text) + len(part) + len(slow) + 3 > MAX_CHARS:
            break
        text = f"{text}; {part}"
    limit = MAX_CHARS - len(slow) - 1
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return f"{text[0].upper()}{text[1:]}{slow}."


def text_of(finding: Finding, geometry: MachineGeometry | None = None) -> str:
    """Return a finding as a clause without a full stop."""
    if finding.kind is FindingKind.TONE:
        return _tone(finding, geometry)
    if finding.kind is FindingKind.RHYTHM:
        return _rhythm(finding)
    band = band_text(finding.from_hz, finding.to_hz)
    change = f"{abs(finding.change_db):.0f} dB"
    rate = f"{per_second(finding.rate_hz)}{_part(finding.rate_hz, geometry)}"
    percent = finding.change_percent or 0.0
    often = f", about {per_second(finding.rate_hz)}" if finding.rate_hz else ""
    return {
        FindingKind.LEVEL: f"level {change} {_side(finding.change_db)} the usual",
        FindingKind.MISSING_TONE: (
            f"the usual tone at {hertz(finding.place_hz)} is missing, {change} lower"
        ),
        FindingKind.SPEED: (
            f"all tones {abs(percent):.1f} % {'lower' if percent < 0 else 'higher'} than usual, "
            "as by a change of speed"
        ),
        FindingKind.IMPACTS: f"impacts at {rate} {band}, not in the training sound",
        FindingKind.IRREGULAR_IMPACTS: (
            f"irregular impacts {band}{often}, not in the training sound"
        ),
        FindingKind.MODULATION: f"sound {band} rises and falls {rate}, {change} more than usual",
        FindingKind.LOUD_BAND: f"noise {band} {change} above the usual",
        FindingKind.QUIET_BAND: f"sound {band} {change} below the usual",
        FindingKind.GAPS: f"short drops of the level, {percent:.0f} % of the time",
        FindingKind.UNSPECIFIC: f"sound unlike the training sound, most {band}",
    }[finding.kind]


def hertz(hz: float) -> str:
    """Return ``24.6 Hz``, ``1,234 Hz``."""
    return f"{hz:.1f} Hz" if hz < 100.0 else f"{hz:,.0f} Hz"


def per_second(rate_hz: float | None) -> str:
    """Return ``12.4 per second``."""
    rate = rate_hz or 0.0
    return f"{rate:.2f} per second" if rate < 5.0 else f"{rate:.1f} per second"


def band_text(from_hz: float, to_hz: float) -> str:
    """Return ``between 2 and 4 kHz``, ``between 630 Hz and 1.3 kHz``."""
    low, high = _rounded(from_hz), _rounded(to_hz)
    if low >= 1000.0:
        return f"between {low / 1000.0:g} and {high / 1000.0:g} kHz"
    if high >= 1000.0:
        return f"between {low:g} Hz and {high / 1000.0:g} kHz"
    return f"between {low:g} and {high:g} Hz"


def _tone(finding: Finding, geometry: MachineGeometry | None) -> str:
    text = f"tone at {hertz(finding.place_hz)}"
    if finding.new:
        text += f", {finding.change_db:.0f} dB above its surroundings, not in the training sound"
    else:
        text += f", {finding.change_db:.0f} dB more prominent than usual"
    extras = []
    if finding.rate_hz is not None and finding.harmonics > 1:
        extras.append(f"{finding.harmonics} harmonics of {hertz(finding.rate_hz)}")
    if finding.sideband_hz is not None:
        source = _part(finding.sideband_hz, geometry)
        extras.append(f"sidebands at {hertz(finding.sideband_hz)}{source}")
    return text + (f", with {' and '.join(extras)}" if extras else "")


def _rhythm(finding: Finding) -> str:
    usual_s = 1.0 / finding.rate_hz if finding.rate_hz else 0.0
    if finding.change_percent is None:
        return f"the usual rhythm of {usual_s:.2f} s is less regular or missing"
    word = "slower" if finding.change_percent < 0 else "faster"
    return f"the usual rhythm of {usual_s:.2f} s is {abs(finding.change_percent):.0f} % {word}"


def _part(rate_hz: float | None, geometry: MachineGeometry | None) -> str:
    if geometry is None or not rate_hz:
        return ""
    source = rate_source(rate_hz, geometry)
    if source is None:
        return ""
    part = "" if source.part == "shaft" else f": {source.part}"
    multiple = f", {source.multiple} ×" if part and source.multiple > 1 else ""
    return f" ({source.order:.2f} × shaft speed{part}{multiple})"


def _side(change_db: float) -> str:
    return "above" if change_db > 0 else "below"


def _slow(time_scale_s: float | None) -> str:
    if time_scale_s is None or time_scale_s <= USUAL_SCALE_S:
        return ""
    return f"; slowly, in the mean over {named_period(time_scale_s)}"


def _rounded(hz: float) -> float:
    """Return a frequency with two significant digits."""
    if hz <= 0.0:
        return 0.0
    return float(f"{hz:.2g}")
