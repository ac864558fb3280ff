"""What the daemon is started with beside its configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from asd_monitor.audio.capture.shared_device import PlanarSource
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.source import Source
from asd_monitor.config.settings import Config, Mqtt
from asd_monitor.daemon.box_refits import Refit
from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.capacity import estimate_capacity
from asd_monitor.daemon.evidence_storage import EvidenceLimits
from asd_monitor.daemon.model_in_use import LoadModel
from asd_monitor.daemon.overview import Observer
from asd_monitor.daemon.scoring_thread import EstimateCapacity
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.publish.broker_session import BrokerSession


@dataclass(frozen=True, slots=True)
class StandstillLimits:
    """Longest times without progress of work beside that of the machines, in s."""

    task_s: float = 60.0
    """For a task that has something to do every few seconds, and its thread."""
    broker_s: float = 120.0
    """For the session with the broker: the name of the broker may be resolved slowly, and
    connecting has a limit of its own."""
    scoring_s: float = 120.0
    """For one batch, one step of a self-test, which has a limit of 60 s, or one measurement of the
    capacity; machines need not advance during the latter two."""
    self_test_s: float = 2400.0
    """For one self-test, which has a limit of its own of half an hour."""
    storing_s: float = 300.0
    """For one write of live sound or of results."""
    reload_s: float = 300.0
    """For reading the configuration again, and for the change of one machine."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals and delays while the daemon runs, in s."""

    heartbeat_s: float = 60.0
    """Between two repetitions of each state and of the status of the box."""
    journal_poll_s: float = 1.0
    """Between two checks of the journal for requests."""
    shelves_s: float = 2.0
    """Between two checks for shelves whose time is over."""
    watchdog_s: float = 5.0
    """Longest interval between two checks for hung machines."""
    hang_s: float = 20.0
    """Work that stands still this long without a reason is hung; a source reports a stall
    within 3 s."""
    retained_s: float = 5.0
    """For the retained state of a machine that is not configured, after a connection."""
    discovery_delay_s: float = 10.0
    """Longest delay of the discovery after a start of Home Assistant, which many await."""
    discovery_confirm_s: float = 5.0
    """Between two looks whether the broker has taken what was removed from the discovery."""
    ready_timeout_s: float = 60.0
    """The daemon is ready after this time even if models are still being loaded."""
    starting_s: float = 3.0
    """The state of a machine whose model is still being loaded is published after this time."""
    ring_s: float = 30.0
    """Sound of each machine that is kept, evaluated or not."""
    restart_delays_s: tuple[float, ...] = (1.0, 2.0, 5.0, 15.0, 60.0)
    """Before the restarts of a session that fails repeatedly."""
    restart_reset_s: float = 600.0
    """What has run this long starts again with the first delay."""
    box_checks_s: float = 10.0
    """Between two checks of the disk and the clock."""
    disk_answer_s: float = 10.0
    """A check waits so long for the disk; then it is a condition that the disk does not answer."""
    standstill: StandstillLimits = field(default_factory=StandstillLimits)
    self_test: SelfTestIntervals = field(default_factory=SelfTestIntervals)


@dataclass(frozen=True, slots=True)
class ShutdownLimits:
    """Time limits at the end, in s.

    After a request to stop, `Service.longest_stop_s` is below `TimeoutStopSec` of the service unit.
    """

    removal_s: float = 20.0
    """For a machine; a device that the kernel holds takes 15 s."""
    cancel_s: float = 1.0
    """For work that has exceeded its limit and was cancelled."""
    step_s: float = 3.0
    """For other steps."""
    margin_s: float = 2.0
    """Added to a limit that the work itself keeps."""
    stop_delivery_s: float = 5.0
    """For pending messages after a stop."""
    end_delivery_s: float = 30.0
    """For pending messages after the end of all recordings, unless a stop is requested; not part of
    the sum: ``STOPPING=1`` follows it."""
    journal_s: float = 12.0
    """For the journal, which gives up by itself where the disk does not answer for 9 s."""


class Connect(Protocol):
    """Creates the session with the broker."""

    def __call__(self, settings: Mqtt, box: str, *, on_connect: Callable[[], None]) -> Broker:
        """Return a session that is not started; ``on_connect`` is called in any thread.

        Raises UsageError for settings that cannot work.
        """


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Functions that reach outside the daemon; tests replace them."""

    open_source: Callable[[DeviceSpec], Source] | None = None
    """Opens a device; None: the devices and files themselves, each device once."""
    open_microphone: Callable[[DeviceSpec], PlanarSource] | None = None
    """Opens a device with all its channels; None: a `Microphone`."""
    load_model: LoadModel = load_usable_bundle
    refit: Refit | None = None
    """Refits a model; None: in a child process."""
    estimate_capacity: EstimateCapacity = estimate_capacity
    connect: Connect = BrokerSession


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """Options of one run of the daemon."""

    models: Path
    state: Path
    speed: float = 1.0
    """Of recordings, as a multiple of real time; 0: as fast as possible."""
    reload: Callable[[], Config] | None = None
    """Reads the configuration again; raises UsageError.  None: there is no file."""
    config_path: Path | None = None
    observer: Observer | None = None
    """Is shown what the machines are doing."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    intervals: Intervals = field(default_factory=Intervals)
    evidence: EvidenceLimits = field(default_factory=EvidenceLimits)
    limits: ShutdownLimits = field(default_factory=ShutdownLimits)
    dependencies: Dependencies = field(default_factory=Dependencies)
