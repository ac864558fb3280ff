"""The model by which one machine is evaluated: loaded, kept, and why there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path

import structlog

from asd_monitor.alarm.supported_budget import (
    EffectiveBudget,
    effective_budget,
    provisional_text,
)
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.detector.detector import Detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.model_store.versions import BundleError, versions

log = structlog.get_logger()

LoadModel = Callable[[Path, str], Bundle]
"""(models, machine) → the bundle in use, or in its place the last good one; raises BundleError."""


class ModelChange(Enum):
    """What loading the model has changed."""

    NONE = auto()
    REFIT = auto()
    """Another version of the model that was in use."""
    OTHER = auto()
    """Another model, or the first one."""


class ModelInUse:
    """The model of one machine; not for concurrent calls.

    Args:
        machine: Id of the machine.
        settings: Its configuration.
        models: The folder of models.
        load: Loads the current model.

    """

    def __init__(
        self,
        machine: str,
        settings: MachineDefaults,
        models: Path,
        *,
        load: LoadModel = load_usable_bundle,
    ) -> None:
        self.bundle: Bundle | None = None
        """The model; None: there is none."""
        self.missing_reason: str | None = "the model is being loaded"
        """Why the sound is not scored; None: it is."""
        self.notice: str | None = None
        """Why the newest model is not the one in use, or what is damaged in the models folder."""
        self.untrained = False
        """Whether the machine has never had a model."""
        self.provisional: EffectiveBudget | None = None
        """The budget of a provisional model; None: the model supports the configured one."""
        self._machine = machine
        self._settings = settings
        self._models = models
        self._load = load

    @property
    def version(self) -> str | None:
        """Version of the model."""
        return self.bundle.version if self.bundle else None

    @property
    def detector(self) -> Detector | None:
        """The detector of the model."""
        return self.bundle.detector if self.bundle else None

    @property
    def budget_text(self) -> str | None:
        """The `provisional_text` of a provisional model; None: see `provisional`."""
        budget, bundle, settings = self.provisional, self.bundle, self._settings
        if budget is None or bundle is None:
            return None
        commissioning = bundle.commissioning(settings.commissioning.days)
        return provisional_text(budget, str(settings.alarm.false_alarms), commissioning)

    def load(self) -> ModelChange:
        """Load the current model.

        If it cannot be loaded, an earlier one stays in use, and `missing_reason` or `notice` has
        the reason.
        """
        try:
            bundle = self._load(self._models, self._machine)
        except BundleError as error:
            self.untrained = self._is_untrained()
            if self.bundle is None:
                self.missing_reason = error.reason
            else:
                self._keep(error.reason)
            return ModelChange.NONE
        self.untrained = False
        if self.bundle is not None and not bundle.is_current:
            self._keep(bundle.damage or "")
            return ModelChange.NONE
        self.notice = bundle.damage
        if self.bundle is not None and bundle.sha256 == self.bundle.sha256:
            return ModelChange.NONE
        before, self.bundle = self.bundle, bundle
        budget = effective_budget(self._settings.alarm.criteria, bundle.detector.hours)
        self.provisional = budget if budget.provisional else None
        self._log_differences(bundle)
        is_refit = before is not None and bundle.first == before.first
        return ModelChange.REFIT if is_refit else ModelChange.OTHER

    def check_rate(self, rate_hz: int) -> bool:
        """Return whether sound of a sample rate can be scored; else `missing_reason` has why."""
        detector = self.detector
        if detector is None:
            return False
        self.missing_reason = None
        if rate_hz < detector.rate_hz:
            self.missing_reason = (
                f"model {self.version} needs a sample rate of {detector.rate_hz} Hz and the "
                f"microphone delivers {rate_hz} Hz: use the microphone that it was trained "
                "with, or train a new model"
            )
        return self.missing_reason is None

    def _keep(self, reason: str) -> None:
        self.notice = f"the new model is not used, {self.version} remains in use: {reason}"

    def _is_untrained(self) -> bool:
        try:
            with os.scandir(self._models / self._machine):
                return not versions(self._models, self._machine)
        except FileNotFoundError:
            return True
        except OSError:  # not readable: there may be models; the reason names the cause
            return False

    def _log_differences(self, bundle: Bundle) -> None:
        detector, settings = bundle.detector, self._settings
        configured = front_end_for(max(4000, detector.rate_hz), settings.window_s, settings.hop_s)
        if (configured.window_s, configured.hop_s) != (detector.window_s, detector.hop_s):
            log.warning(
                "the model was trained with another window than configured; the model's is used",
                machine=self._machine,
                model=bundle.version,
                window_s=detector.window_s,
                hop_s=detector.hop_s,
                configured_window_s=settings.window_s,
                configured_hop_s=settings.hop_s,
                hint="train a new model, or configure the model's window_s and hop_s",
            )
