"""Opening of sources from device strings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from asd_monitor.audio.capture.microphone import Microphone
from asd_monitor.audio.capture.shared_device import ChannelSource, PlanarSource, SharedDevice
from asd_monitor.audio.devices.device_strings import DeviceSpec
from asd_monitor.audio.files.file_source import FileSource
from asd_monitor.audio.source import BLOCK_S, Source

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExpectedSource:
    """A source that will be opened."""

    spec: DeviceSpec
    block_s: float = BLOCK_S
    """Longest block that its receiver asks for, in s."""


def open_source(
    spec: DeviceSpec,
    *,
    speed: float = 1.0,
    notice: Callable[[str], None] = _log.warning,
) -> Source:
    """Return the source of a device; nothing is opened before it is run.

    ``speed`` applies to recordings only; see `FileSource`.  ``notice`` is called with lines for
    the user that report no outage, such as a truncated recording.
    """
    if spec.is_file:
        return FileSource(spec, speed=speed, notice=notice)
    return ChannelSource(SharedDevice(spec, lambda: Microphone(spec, notice=notice)), spec)


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
        self._block_s: dict[DeviceSpec, float] = {}  # by device without channel

    def expect(self, sources: Iterable[ExpectedSource]) -> None:
        """Declare what will be opened.

        Each opening of a device includes all its channels, in blocks as long as the shortest of
        those that are asked for.
        """
        self._block_s.clear()
        for device in self._devices.values():
            device.expected_channels = frozenset()
        for source in sources:
            spec = replace(source.spec, channel=None)
            self._block_s[spec] = min(source.block_s, self._block_s.get(spec, source.block_s))
            if not spec.is_file:
                device = self._device(spec)
                device.expected_channels |= {source.spec.channel or 0}
                device.block_s = self._block_s[spec]

    def open(self, spec: DeviceSpec) -> Source:
        """Return the source of one channel; nothing is opened before it is run."""
        if spec.is_file:
            block_s = self._block_s.get(replace(spec, channel=None), BLOCK_S)
            return FileSource(spec, speed=self._speed, block_s=block_s, notice=self._notice)
        return ChannelSource(self._device(spec), spec)

    def _device(self, spec: DeviceSpec) -> SharedDevice:
        device = replace(spec, channel=None)
        if device not in self._devices:
            self._devices[device] = SharedDevice(device, lambda: self._open_microphone(device))
        return self._devices[device]

    def _microphone(self, spec: DeviceSpec) -> PlanarSource:
        return Microphone(spec, notice=self._notice)
