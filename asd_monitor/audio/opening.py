"""From a device string to a source of sound."""

from __future__ import annotations

import logging
from collections.abc import Callable

from asd_monitor.audio.devices import DeviceSpec
from asd_monitor.audio.file_source import FileSource
from asd_monitor.audio.microphone import Microphone
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
