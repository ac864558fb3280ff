"""A detector of the level, models that hold it, and a configuration.

The detector is real; only its view is trivial.  So the tests of the daemon run the real
pipeline and know the score of any sound from its level.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from asd_monitor.alarm.scale_tail import ScaleTail
from asd_monitor.alarm.supported_budget import CommissioningExtent
from asd_monitor.alarm.time_scales import TIME_SCALES
from asd_monitor.config.machine_settings import Machine
from asd_monitor.config.settings import Config
from asd_monitor.detector.back_end import BackEnd
from asd_monitor.detector.calibration import MIN_DISTANCE, FusedCalibration, ViewCalibration
from asd_monitor.detector.detector import Detector
from asd_monitor.detector.evidence import EvidenceCalibration
from asd_monitor.detector.modes import OperatingModes
from asd_monitor.detector.views import View, ViewKind
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.explanation.sound_profile import SoundProfile
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.model_store.bundle import FirstModel
from asd_monitor.model_store.versions import BundleError
from tests.doubles.direct_tail import DirectTail
from tests.doubles.waiting import TIMEOUT_S

ALARMING = 9.0
"""Deviation, fused score, evidence and score of a window above −10 dBFS."""


@dataclass(frozen=True, slots=True, eq=False)
class LevelBackEnd(BackEnd):
    """Distance 1 for levels above −10 dBFS, 0 below.

    With a ``gate``, scoring blocks until the test sets it; ``entered`` is set before.
    """

    kind = "level_threshold"
    gate: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def fit(cls, reference: Any, spans: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def score_each(cls, machines: Any, vectors: Any) -> Any:
        for machine in machines:
            if machine.gate is not None:
                machine.entered.set()
                assert machine.gate.wait(TIMEOUT_S), "the test has not opened the gate"
        return (vectors[:, :, 0] > -10).astype(np.float32)


_OF_DISTANCE = ViewCalibration(math.log(MIN_DISTANCE), -math.log(MIN_DISTANCE) / ALARMING)
_ALMOST_NORMAL, _SIX_SIGMA = 1e9, 5.9978
"""Degrees of freedom, and the standard deviations at which −log10 p is 9."""
_OF_FUSED = FusedCalibration(ALARMING / 2, ALARMING / 2 / _SIX_SIGMA, _ALMOST_NORMAL)
_ONE_MODE = OperatingModes(np.zeros((1, 1), np.float32))
_NEVER = tuple(ScaleTail(scale.seconds, 50.0, 10.0, 30.0) for scale in TIME_SCALES[1:])


def direct_evidence(hours: int) -> EvidenceCalibration:
    """Return the calibration by which the evidence is the score, of sound from these hours."""
    tails = (DirectTail(), *_NEVER)
    never_loud = np.full(1, math.inf)
    return EvidenceCalibration(
        _ONE_MODE, np.zeros(1), np.ones(1), never_loud, tails, math.inf, hours
    )


class LevelDetector(Detector):
    """Scores 9 for windows above −10 dBFS, 0 below; idle below −60 dBFS.

    The evidence is the score.  No sound is far quieter than in training, unless ``quietest_dbfs``
    says so.  The hours of the training sound support every budget of the tests.
    """

    def __init__(
        self,
        gate: threading.Event | None = None,
        quietest_dbfs: float = -math.inf,
        *,
        hours: int = 1000,
        microphone: MicrophoneBaseline | None = None,
    ) -> None:
        kind = ViewKind("level", "level", LevelBackEnd, "level_threshold")
        view = View(kind, LevelBackEnd(gate), _OF_DISTANCE)
        super().__init__(
            FrontEnd(),
            (view,),
            _OF_FUSED,
            direct_evidence(hours),
            (-300.0, -60.0),
            quietest_dbfs,
            microphone=microphone,
        )

    @property
    def entered(self) -> threading.Event:
        """Set when a window is being scored."""
        back_end = self.views[0].back_end
        assert isinstance(back_end, LevelBackEnd)
        return back_end.entered


@dataclass(eq=False)
class StubBundle:
    """A bundle in memory."""

    version: str = "v1"
    detector: Any = field(default_factory=LevelDetector)
    sha256: str = field(default_factory=lambda: uuid4().hex)
    commissioning_days: float = 0.0
    refit_of: FirstModel | None = None
    machine: str = "fan"
    manifest: dict[str, Any] = field(default_factory=dict)
    damage: str | None = None
    is_current: bool = True
    profile: SoundProfile | None = None

    @property
    def first(self) -> FirstModel:
        return self.refit_of or FirstModel(self.version, self.sha256)

    def commissioning(self, days: float) -> CommissioningExtent:
        return CommissioningExtent(days if self.commissioning_days else 0.0)


class StubModels:
    """Bundles by machine; `load` stands in for `load_bundle`."""

    def __init__(self, **bundles: StubBundle) -> None:
        self.bundles = bundles
        self.broken: dict[str, str] = {}
        """Machines whose bundle cannot be loaded, and why."""

    def load(self, _models: Path, machine: str) -> Any:
        if machine in self.broken:
            raise BundleError(self.broken[machine])
        if machine not in self.bundles:
            raise BundleError(f"no model of {machine}: train one")
        return self.bundles[machine]


def make_config(**machines: Mapping[str, Any]) -> Config:
    """Return a configuration of the box `testbox` with these settings of machines."""
    return Config(
        version=1,
        box="testbox",
        machines={name: Machine.model_validate(keys) for name, keys in machines.items()},
    )
