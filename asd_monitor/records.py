"""Values that are passed between packages.

All are frozen; an array is not written to after it was passed on.

Time is the **sample index**: the absolute number of samples at the capture rate since the
stream began, lost samples included.  Wall-clock times are derived from it, by the daemon only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]
    """Mono sound (n,), float32, full scale ±1."""
else:
    Samples = object  # commands without sound start without NumPy, which takes 0.1 s


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Identity of a stream of sound: sample indices of two streams are never compared.

    Two streams are equal only if they are the same object.
    """

    rate_hz: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples of one stream.

    A block whose ``start`` lies beyond the end of the previous one follows a gap.
    """

    stream: Stream
    start: int  # sample index of the first sample
    samples: Samples

    @property
    def rate_hz(self) -> int:
        """Sample rate of the stream."""
        return self.stream.rate_hz

    @property
    def end(self) -> int:
        """Sample index one past the last sample."""
        return self.start + len(self.samples)

    def part(self, first: int, past: int) -> Block:
        """Return the samples from index ``first`` to before ``past``, limited to the block."""
        low, high = max(first, self.start), min(past, self.end)
        return Block(self.stream, low, self.samples[low - self.start : high - self.start])


class MachineState(StrEnum):
    """State of a machine (``state`` on MQTT).

    It is `UNAVAILABLE` while the microphone delivers no sound, whatever it was before.
    """

    NO_MODEL = "no_model"
    LEARNING = "learning"
    IDLE = "idle"
    NORMAL = "normal"
    WARNING = "warning"
    ALARM = "alarm"
    UNAVAILABLE = "unavailable"
    STOPPED = "stopped"


class MicrophoneState(StrEnum):
    """State of a microphone (``microphone`` on MQTT)."""

    OK = "ok"
    DEGRADED = "degraded"
    FAULT = "fault"
    NO_DEVICE = "no_device"


NO_SIGNAL = frozenset({MicrophoneState.FAULT, MicrophoneState.NO_DEVICE})
"""States of a microphone that delivers no sound."""

_EVALUATED = frozenset(
    {MachineState.IDLE, MachineState.NORMAL, MachineState.WARNING, MachineState.ALARM}
)


def is_evaluated(state: MachineState) -> bool:
    """Return whether a machine's sound is evaluated; if not, alarms are not raised or cleared."""
    return state in _EVALUATED


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of the alarm score."""

    warning: float
    """From which on the state is `warning`."""
    alarm: float
    """From which on an alarm is raised."""


class WhenQuiet(StrEnum):
    """What sound that is far quieter than ever in training means for a machine."""

    WARN = "warn"  # a warning: it is unknown whether the machine may be off
    IDLE = "idle"  # the machine is off, as it may be
    ALARM = "alarm"  # an alarm: the machine has to run


MAX_COMMISSIONING_DAYS = 60
"""For how many days a model can be extended from live sound."""


@dataclass(frozen=True, slots=True)
class AlarmCriteria:
    """When an alarm is to be raised, as configured."""

    false_alarms_hz: float  # accepted rate of false alarms, events per second
    warnings_hz: float  # accepted rate of false warnings, events per second
    on_delay_s: float = 3.0
    off_delay_s: float = 10.0
    latch: bool = True
    when_quiet: WhenQuiet = WhenQuiet.WARN


@dataclass(frozen=True, slots=True)
class Bearing:
    """A rolling-element bearing."""

    balls: int  # or rollers
    ball_mm: float  # their diameter
    pitch_mm: float  # diameter of the circle of their centres
    angle_deg: float = 0.0  # contact angle


@dataclass(frozen=True, slots=True)
class MachineGeometry:
    """The speed of a machine's shaft, and its bearing."""

    shaft_rpm: float
    bearing: Bearing | None = None  # None: not known

    @property
    def shaft_hz(self) -> float:
        """Revolutions per second."""
        return self.shaft_rpm / 60.0


@dataclass(frozen=True, slots=True, eq=False)
class WindowSpectra:
    """The spectra of one window, log10 of power."""

    bands: npt.NDArray[np.float32]  # (b,): mean log-mel spectrum
    lines: npt.NDArray[np.float32]  # (l,): lines of the fine spectrum up to 500 Hz


@dataclass(frozen=True, slots=True)
class WindowScore:
    """The scores of one window; high is anomalous.

    ``views`` are deviations: robust z-scores of each view's log distance from the training sound,
    0 for the median training window, not limited (`asd_monitor.detector.calibration`).
    """

    start: int  # sample index of the first sample
    end: int  # one past the last sample
    score: float  # −log10 P(a normal window has at least this fused score), 0 … 12
    fused: float  # root mean square of the positive deviations
    evidence: float  # fused score standardised: location 0, spread 1 in normal training sound
    views: Mapping[str, float]
    rms_dbfs: float
    idle: bool  # the level lies in the idle region
    hops: int = 1  # since the previous window; more than 1 if windows are skipped under load
    quiet: bool = False  # the level lies far below that of any training window
    spectra: WindowSpectra | None = field(default=None, compare=False, repr=False)
    """What the microphone is judged by; None: the model has no baseline of it."""


@dataclass(frozen=True, slots=True)
class AlarmLabel:
    """Whether an alarm was valid, by a person."""

    alarm_id: str
    raised: datetime
    label: str  # valid or invalid
    why: str | None
    who: str
    cleared: datetime | None = None  # when its sound was normal again; None: not yet, or not known


@dataclass(frozen=True, slots=True)
class NormalSpan:
    """Sound of a machine, between two times (UTC), that a person has marked as normal."""

    id: str
    machine: str
    begin: datetime
    end: datetime
    who: str
    why: str
    time: datetime  # when it was marked
    alarm_id: str | None = None  # None: a span of the machine


@dataclass(frozen=True, slots=True)
class WithdrawnMark:
    """The withdrawal of the mark of an alarm, or of spans of a machine."""

    time: datetime
    alarm_id: str | None  # None: of a span of the machine, which is not recorded
