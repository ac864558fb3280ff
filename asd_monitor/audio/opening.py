"""Opening of sources from device strings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.shared_device import ChannelSource, PlanarSource, SharedDevice
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

    ``speed`` applies to recordings only; see `FileSource`.  ``notice`` is called with lines for
    the user that report no outage, such as a truncated recording.
    """
    if spec.is_file:
        return FileSource(spec, speed=speed, notice=notice)
    return Microphone(spec, notice=notice)


class DevicePool:
    """Opens each device once for all machines that use its channels.

    Device strings that differ in the channel only are one device.  A recording is read for each
    machine separately.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        notice: Callable[[str], None] = _log.warning,
        open_microphone: Callable[[DeviceSpec], PlanarSource] | None = None,
    ) -> None:
        """``speed`` and ``notice`` are those of `open_source`.

        ``open_microphone`` takes a device without channel; None: a `Microphone`.
        """
        self._speed = speed
        self._notice = notice
        self._open_microphone = open_microphone or self._microphone
        self._devices: dict[DeviceSpec, SharedDevice] = {}

    def expect(self, specs: Iterable[DeviceSpec]) -> None:
        """Declare the channels that will be opened: each opening of a device includes them all."""
        for device in self._devices.values():
            device.expected_channels = frozenset()
        for spec in specs:
            if not spec.is_file:
                self._device(spec).expected_channels |= {spec.channel or 0}

    def open(self, spec: DeviceSpec) -> Source:
        """Return the source of one channel; nothing is opened before its events are iterated."""
        if spec.is_file:
            return open_source(spec, speed=self._speed, notice=self._notice)
        return ChannelSource(self._device(spec), spec)

    def _device(self, spec: DeviceSpec) -> SharedDevice:
        device = replace(spec, channel=None)
        if device not in self._devices:
            self._devices[device] = SharedDevice(device, lambda: self._open_microphone(device))
        return self._devices[device]

    def _microphone(self, spec: DeviceSpec) -> PlanarSource:
        return Microphone(spec, notice=self._notice)
