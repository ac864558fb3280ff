"""From a device string to a source of sound."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.shared_device import ChannelSource, SharedDevice
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.file_source import FileSource
from asd_monitor.audio.source import Source

_log = logging.getLogger(__name__)


def open_source(
    spec: DeviceSpec,
    *,
    speed: float = 1.0,
    notice: Callable[[str], None] = _log.warning,
) -> Source:
    """Return the source of a device; nothing is opened before its events are iterated.

    ``speed`` is for recordings only.  ``notice`` is given lines for people about what is
    no outage, such as a recording that was cut off.
    """
    if spec.is_file:
        return FileSource(spec, speed=speed, notice=notice)
    return Microphone(spec, notice=notice)


class Devices:
    """Opens each device once, however many machines hear its channels.

    Devices are the same where their strings are, the channel aside.  Recordings are read
    once for each machine.
    """

    def __init__(self, *, speed: float = 1.0, notice: Callable[[str], None] = _log.warning) -> None:
        """``speed`` and ``notice`` are those of `open_source`."""
        self._speed = speed
        self._notice = notice
        self._shared: dict[DeviceSpec, SharedDevice] = {}

    def expect(self, specs: Iterable[DeviceSpec]) -> None:
        """Take note of all that is to be heard, before the first of it is: open wide at once."""
        for device in self._shared.values():
            device.expected = frozenset()
        for spec in specs:
            if not spec.is_file:
                self._device(spec).expected |= {spec.channel or 0}

    def open(self, spec: DeviceSpec) -> Source:
        """Return the source of one channel; nothing is opened before its events are iterated."""
        if spec.is_file:
            return open_source(spec, speed=self._speed, notice=self._notice)
        return ChannelSource(self._device(spec), spec)

    def _device(self, spec: DeviceSpec) -> SharedDevice:
        whole = replace(spec, channel=None)
        open_microphone = partial(Microphone, whole, notice=self._notice)
        return self._shared.setdefault(whole, SharedDevice(whole, open_microphone))
