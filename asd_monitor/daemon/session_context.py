"""What the monitor sessions of a daemon share."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.sharing.server import SharingServer
from asd_monitor.audio.source import Source
from asd_monitor.daemon.box_refits import BoxRefits
from asd_monitor.daemon.evidence_packages import EvidencePackages
from asd_monitor.daemon.initial_training import Train
from asd_monitor.daemon.model_in_use import LoadModel
from asd_monitor.daemon.page_feed import PageFeed
from asd_monitor.daemon.running_input import RunningInput
from asd_monitor.daemon.scoring_thread import ScoringThread
from asd_monitor.daemon.stream_clock import Clocks
from asd_monitor.model_store.usable_version import load_usable_bundle


def _no_signal(_machine: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class SessionContext:
    """Folders, services and functions that every session uses."""

    models: Path
    state: Path
    sharing: SharingServer
    open_source: Callable[[DeviceSpec], Source]
    scoring: ScoringThread
    train: Train
    throttle: Callable[[], Awaitable[None]]
    """Delays a recording while messages wait for the broker."""
    evidence: EvidencePackages
    """Writes the evidence of alarms."""
    refits: BoxRefits
    """Storing and refits of the commissionings."""
    page: PageFeed | None = None
    """What the page shows of the machines; None: there is no page."""
    load_model: LoadModel = load_usable_bundle
    running_input: Callable[[str], RunningInput | None] = _no_signal
    """Returns the signal that says whether a machine runs."""
    reason_turn: threading.Lock = field(default_factory=threading.Lock)
    """Held while the reason of an alarm is determined."""
    clocks: Clocks = field(default_factory=Clocks)
    ring_s: float = 30.0
    """Sound of each machine that is kept at least, in s."""
