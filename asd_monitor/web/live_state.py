"""What the page knows of the box and its machines now, from the feed of the daemon."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from asd_monitor.daemon.page_protocol import Beat, LiveSound, LiveWindow, PageLine, PageSetup
from asd_monitor.publish.messages import Alarm, BoxAlarm, SelfTest, State, Status
from asd_monitor.web.trend import Trend

WINDOWS = 600
"""Windows of each machine that are kept for its page: five minutes of the default hop."""
SOUNDS = 120
"""Blocks of sound that are kept of each watched machine: a minute."""
STALE_S = 5.0
"""Without a line of the daemon for this long, nothing is shown as live."""
RECENT_S = 30.0
"""Without a window for this long, the scores of a machine are not those of now."""


@dataclass(slots=True)
class LiveMachine:
    """The newest values of one machine."""

    id: str
    monotonic_s: Callable[[], float]
    state: State | None = None
    alarm: Alarm | None = None
    windows: deque[LiveWindow] = field(default_factory=lambda: deque(maxlen=WINDOWS))
    sounds: deque[LiveSound] = field(default_factory=lambda: deque(maxlen=SOUNDS))
    trend: Trend = field(default_factory=Trend)
    received_s: float = -math.inf
    """When the newest window arrived, on the monotonic clock."""
    sound_received_s: float = -math.inf
    """When the newest sound arrived, on the monotonic clock."""

    @property
    def window(self) -> LiveWindow | None:
        """The newest window."""
        return self.windows[-1] if self.windows else None

    @property
    def recent_window(self) -> LiveWindow | None:
        """The newest window, where it is one of now, whatever the wall clock does."""
        is_recent = self.monotonic_s() - self.received_s <= RECENT_S
        return self.window if is_recent else None

    @property
    def window_age_s(self) -> float | None:
        """Time since the newest window arrived; None: there is none."""
        return self.monotonic_s() - self.received_s if self.windows else None

    @property
    def sound_age_s(self) -> float | None:
        """Time since the newest sound arrived; None: there is none."""
        return self.monotonic_s() - self.sound_received_s if self.sounds else None

    def add_sound(self, sound: LiveSound) -> None:
        """Take a block of sound."""
        self.sounds.append(sound)
        self.sound_received_s = self.monotonic_s()

    def add(self, window: LiveWindow) -> None:
        """Take a window."""
        self.windows.append(window)
        self.trend.push(window)
        self.received_s = self.monotonic_s()

    @property
    def last_evaluated(self) -> datetime | None:
        """When its sound was last evaluated."""
        if self.window is not None:
            return self.window.time
        known = None if self.state is None else self.state.last_evaluated
        return None if known is None else known.time


class LiveState:
    """The newest values of everything; for one event loop.

    Args:
        setup: What the page was started with.
        monotonic_s: Reads the monotonic clock, in s.

    """

    def __init__(
        self,
        setup: PageSetup,
        monotonic_s: Callable[[], float],
    ) -> None:
        self.setup = setup
        self.machines: dict[str, LiveMachine] = {}
        self.status: Status | None = None
        self.self_test: SelfTest | None = None
        self.box_alarm: BoxAlarm | None = None
        self.beat: Beat | None = None
        self.disk_free_gb: float | None = None
        """Free space for the state folder; None: not known."""
        self.malformed = 0
        """Lines that could not be read."""
        self.on_line: Callable[[PageLine, LiveMachine | None], None] = lambda _line, _machine: None
        """Called after each line, with its machine."""
        self.on_window: Callable[[LiveWindow], None] = lambda _window: None
        """Called with each window."""
        self._monotonic_s = monotonic_s
        self._received_s: float | None = None

    @property
    def age_s(self) -> float | None:
        """Time since the newest line, in s; None: there was none."""
        return None if self._received_s is None else self._monotonic_s() - self._received_s

    @property
    def is_fresh(self) -> bool:
        """Whether the daemon goes on sending."""
        return self.age_s is not None and self.age_s < STALE_S

    @property
    def configured(self) -> Collection[str]:
        """Ids of the configured machines, in the order of the configuration."""
        return () if self.beat is None else self.beat.machines

    def shown(self) -> list[LiveMachine]:
        """Return the configured machines in order."""
        return [self.machine(each) for each in self.configured]

    def machine(self, machine: str) -> LiveMachine:
        """Return what is known of a machine of the feed."""
        return self.machines.setdefault(machine, LiveMachine(machine, self._monotonic_s))

    def take(self, line: PageLine) -> None:
        """Take a line of the feed."""
        self._received_s = self._monotonic_s()
        machine: LiveMachine | None = None
        match line:
            case State(machine=name):
                machine = self.machine(name)
                machine.state = line
            case Alarm(machine=name):
                machine = self.machine(name)
                machine.alarm = line
            case LiveWindow(machine=name):
                machine = self.machine(name)
                machine.add(line)
                self.on_window(line)
            case LiveSound(machine=name):
                machine = self.machine(name)
                machine.add_sound(line)
            case Status():
                self.status = line
            case SelfTest():
                self.self_test = line
            case BoxAlarm():
                self.box_alarm = line
            case Beat():
                self.beat = line
                self._forget_removed(line.machines)
            case PageSetup():
                return
        self.on_line(line, machine)

    def _forget_removed(self, configured: Collection[str]) -> None:
        for machine in self.machines.keys() - set(configured):
            del self.machines[machine]
