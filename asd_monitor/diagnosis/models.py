"""Checks of the models: each machine has one that can be used here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asd_monitor.alarm.supported_budget import effective_budget
from asd_monitor.config.machine_settings import Machine
from asd_monitor.diagnosis.findings import Area, Check, Finding, divided
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.model_store.bundle import Bundle
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.model_store.versions import BundleError, versions

OLD = timedelta(days=365)
"""A model that is older may not know what has changed since."""
_MIN_RATE_HZ = 4000


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model of one machine."""

    machine: str
    settings: Machine
    bundle: Bundle | None
    problem: str | None  # why there is none
    has_versions: bool
    rate_hz: int | None  # at which the device delivers; None: unknown


def read_models(
    models: Path,
    machines: Mapping[str, Machine],
    rates_hz: Mapping[str, int],
    runtime: Runtime,
) -> list[ModelFacts]:
    """Load the model of each machine; ``rates_hz`` are those that the devices have delivered."""
    found = []
    for machine, settings in machines.items():
        bundle, problem = None, None
        try:
            bundle = load_usable_bundle(models, machine, runtime=runtime)
        except BundleError as error:
            problem = error.reason
        facts = ModelFacts(
            machine,
            settings,
            bundle,
            problem,
            _has_versions(models, machine),
            rates_hz.get(machine),
        )
        found.append(facts)
    return found


def _has_versions(models: Path, machine: str) -> bool:
    try:
        return bool(versions(models, machine))
    except OSError:
        return True


def check_models(models: list[ModelFacts], now: datetime) -> Iterator[Finding]:
    """Yield the findings; ``now`` is a time with time zone."""
    for facts in models:
        check = Check(Area.MODELS, "usable", facts.machine)
        if facts.bundle is not None:
            yield from _usable(facts, facts.bundle, now)
        elif facts.settings.learn is not None and not facts.has_versions:
            yield check.ok(f"no model yet: it is trained first, on {facts.settings.learn} of sound")
        else:
            yield check.failed(*divided(facts.problem or ""))


def _usable(facts: ModelFacts, bundle: Bundle, now: datetime) -> Iterator[Finding]:
    detector = bundle.detector
    check = Check(Area.MODELS, "usable", facts.machine)
    if bundle.damage is not None:
        used, reason = divided(bundle.damage)
        what, remedy = divided(reason or "")
        yield check.failed(f"{used}: {what}" if remedy else used, remedy or reason)
    else:
        yield check.ok(f"{bundle.version}, {len(detector.views)} views, {detector.rate_hz} Hz")
    check = Check(Area.MODELS, "rate", facts.machine)
    if facts.rate_hz is None:
        yield check.not_checked("the device has delivered no sound to compare with")
    elif facts.rate_hz < detector.rate_hz:
        yield check.failed(
            f"the model {bundle.version} needs a sample rate of {detector.rate_hz} Hz and the "
            f"device delivers {facts.rate_hz} Hz",
            "use the microphone that it was trained with, or train a new model",
        )
    else:
        yield check.ok(f"{facts.rate_hz} Hz")
    yield from _budget(facts, bundle)
    yield from _age(facts.machine, bundle, now)
    yield from _window(facts, bundle)


def _budget(facts: ModelFacts, bundle: Bundle) -> Iterator[Finding]:
    check = Check(Area.MODELS, "budget", facts.machine)
    settings, detector = facts.settings, bundle.detector
    budget = effective_budget(settings.alarm.criteria, detector.hours)
    if budget.provisional:
        yield check.warning(
            f"provisional: its training sound supports {budget.false_alarms} instead of "
            f"{settings.alarm.false_alarms}",
            f"let it be commissioned, or record in {budget.needed_hours} different hours and train "
            "again",
        )
    else:
        yield check.ok(f"its training sound supports {settings.alarm.false_alarms}")


def _age(machine: str, bundle: Bundle, now: datetime) -> Iterator[Finding]:
    check = Check(Area.MODELS, "age", machine)
    try:
        trained = datetime.fromisoformat(str(bundle.manifest.get("trained")))
    except ValueError:
        yield check.not_checked("it does not say when it was trained")
        return
    age = now - (trained if trained.tzinfo else trained.replace(tzinfo=UTC))
    if age > OLD:
        yield check.warning(
            f"trained {age.days} days ago: the machine may sound otherwise since",
            f"`asd-monitor models refit {machine}`, or record and train again",
        )
    elif age < timedelta(days=-1):
        yield check.warning(
            "trained in the future: the clock was wrong then, or is now", "set the clock"
        )
    else:
        yield check.ok(f"trained {max(0, age.days)} days ago")


def _window(facts: ModelFacts, bundle: Bundle) -> Iterator[Finding]:
    check = Check(Area.MODELS, "window", facts.machine)
    detector, settings = bundle.detector, facts.settings
    configured = front_end_for(
        max(_MIN_RATE_HZ, detector.rate_hz), settings.window_s, settings.hop_s
    )
    if (configured.window_s, configured.hop_s) != (detector.window_s, detector.hop_s):
        yield check.warning(
            f"trained with window_s {detector.window_s:g} and hop_s {detector.hop_s:g}, configured "
            f"are {configured.window_s:g} and {configured.hop_s:g}: the model's are used",
            "train a new model, or configure the model's window_s and hop_s",
        )
    else:
        yield check.ok("as configured")
