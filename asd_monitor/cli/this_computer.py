"""What a valid configuration names and this computer does not have now.

None of it is an error: `run` starts, reports it and tries again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import DeviceSpec, parse_device
from asd_monitor.audio.devices.remedies import NO_PERMISSION
from asd_monitor.audio.inputs import AudioInput
from asd_monitor.config.loading import Notice
from asd_monitor.config.machine_settings import Machine
from asd_monitor.config.settings import Config, Mqtt
from asd_monitor.diagnosis.broker_reach import connection_error
from asd_monitor.diagnosis.presence import absence, is_listed_by_name, list_inputs_now
from asd_monitor.errors import OperationError
from asd_monitor.extras import WEB, require_extra
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.model_store.versions import BundleError
from asd_monitor.publish.broker_diagnostics import connect_failed


def find_missing(config: Config, models: Path) -> Iterator[Notice]:
    """Yield a notice for each thing that is missing: broker, extra, devices, recordings, models."""
    if reason := _unreachable(config.mqtt):
        yield ("mqtt", "host"), reason
    if config.http is not None and (reason := _missing_extra()):
        yield ("http",), reason
    inputs: list[AudioInput] | None = None
    for machine, settings in config.machines.items():
        spec = replace(parse_device(settings.device_text), channel=None)
        if is_listed_by_name(spec) and inputs is None:
            inputs = list(list_inputs_now(Cards()).inputs)
        if reason := _absent(spec, inputs or []):
            yield ("machines", machine, "device"), reason
        yield from _model_notices(models, machine, settings)


def _missing_extra() -> str | None:
    """Return why the page cannot be served, with the remedy."""
    try:
        require_extra("the page", WEB)
    except OperationError as error:
        return str(error)
    return None


def _unreachable(mqtt: Mqtt) -> str | None:
    """Return why no TCP connection to the broker can be made, with the remedy."""
    error = connection_error(mqtt)
    if error is None:
        return None
    end = connect_failed(error, mqtt)
    return f"the broker cannot be reached now: {end.reason}: {end.remedy}"


def _absent(spec: DeviceSpec, inputs: list[AudioInput]) -> str | None:
    """Return why the device delivers no sound now, with the remedy."""
    cards = Cards()
    if reason := absence(spec, cards, inputs):
        return f"not present now: {reason}"
    if not spec.is_file and cards.access_denied:
        return NO_PERMISSION
    return None


def _model_notices(models: Path, machine: str, settings: Machine) -> Iterator[Notice]:
    place = ("machines", machine)
    try:
        bundle = load_usable_bundle(models, machine)
    except BundleError as error:
        if settings.learn is None:
            yield place, f"its state will be no_model: {error.reason}"
    else:
        if bundle.damage is not None:
            yield place, f"a model is damaged: {bundle.damage}"
        if settings.learn is not None:
            yield (
                (*place, "learn"),
                f"no effect, since there is a model: {bundle.version} in {models}",
            )
