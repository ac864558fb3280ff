"""What a valid configuration names and this computer does not have now.

None of it is an error: `run` starts, reports it and tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from asd_monitor.audio.devices.cards import CardNotFoundError, Cards
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec, parse_device
from asd_monitor.audio.devices.remedies import NO_PERMISSION, not_found
from asd_monitor.audio.devices.sound_server import SoundServer
from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.audio.inputs import AudioInput, list_inputs
from asd_monitor.config.loading import Notice
from asd_monitor.config.machine_settings import Machine
from asd_monitor.config.settings import Config, Mqtt
from asd_monitor.errors import AsdMonitorError, OperationError
from asd_monitor.extras import WEB, require_extra
from asd_monitor.model_store.usable_version import load_usable_bundle
from asd_monitor.model_store.versions import BundleError
from asd_monitor.publish.broker_diagnostics import connect_failed

_CONNECT_LIMIT_S = 3.0
_RESOLVE_LIMIT_S = 5.0  # of the host name, which the system may try much longer
_CARD_KINDS = (DeviceKind.HW, DeviceKind.CARD_ID, DeviceKind.USB_PATH, DeviceKind.USB_ID)

T = TypeVar("T")


def find_missing(config: Config, models: Path) -> Iterator[Notice]:
    """Yield a notice for each thing that is missing: broker, extra, devices, recordings, models."""
    if reason := _unreachable(config.mqtt):
        yield ("mqtt", "host"), reason
    if config.http is not None and (reason := _missing_extra()):
        yield ("http",), reason
    inputs: list[AudioInput] | None = None
    for machine, settings in config.machines.items():
        spec = replace(parse_device(settings.device_text), channel=None)
        if spec.kind not in (*_CARD_KINDS, DeviceKind.FILE) and inputs is None:
            inputs = asyncio.run(_list_inputs())
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

    def connect() -> OSError | None:
        try:
            socket.create_connection((mqtt.host, mqtt.port), _CONNECT_LIMIT_S).close()
        except UnicodeError:  # of a name that IDNA cannot encode
            return socket.gaierror(f"the name {mqtt.host} is not valid")
        except OSError as error:
            return error
        return None

    late: OSError | None = TimeoutError()
    error = _within(_CONNECT_LIMIT_S + _RESOLVE_LIMIT_S, connect, late)
    if error is None:
        return None
    end = connect_failed(error, mqtt)
    return f"the broker cannot be reached now: {end.reason}: {end.remedy}"


def _within(limit_s: float, function: Callable[[], T], otherwise: T) -> T:
    """Return the function's result, or ``otherwise`` where it takes longer."""
    results: queue.SimpleQueue[T] = queue.SimpleQueue()
    threading.Thread(target=lambda: results.put(function()), daemon=True).start()
    with contextlib.suppress(queue.Empty):
        return results.get(timeout=limit_s)
    return otherwise


def _absent(spec: DeviceSpec, inputs: list[AudioInput]) -> str | None:
    """Return why the device delivers no sound now, with the remedy."""
    try:
        if spec.is_file:
            find_recordings(spec.path)
        elif spec.kind in _CARD_KINDS:
            Cards().find(spec)
        elif not any(each.device == str(spec) for each in inputs):
            available = [each.device for each in inputs]
            return f"not present now: {not_found(available)}"
    except (AsdMonitorError, CardNotFoundError) as error:
        return f"not present now: {error}"
    if not spec.is_file and Cards().access_denied:
        return NO_PERMISSION
    return None


async def _list_inputs() -> list[AudioInput]:
    server = SoundServer()
    try:
        return list((await list_inputs(Cards(), server)).inputs)
    finally:
        server.close()


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
