"""Whether the device of a machine is present now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from asd_monitor.audio.devices.cards import CardNotFoundError, Cards
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
from asd_monitor.audio.devices.remedies import not_found
from asd_monitor.audio.devices.sound_server import SoundServer
from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.audio.inputs import AudioInput, InputListing, list_inputs
from asd_monitor.errors import AsdMonitorError

CARD_KINDS = (DeviceKind.HW, DeviceKind.CARD_ID, DeviceKind.USB_PATH, DeviceKind.USB_ID)
"""Devices that name an ALSA card."""


def is_listed_by_name(spec: DeviceSpec) -> bool:
    """Return whether PortAudio or a sound server lists the device, rather than the kernel."""
    return spec.kind not in (*CARD_KINDS, DeviceKind.FILE)


def list_inputs_now(cards: Cards) -> InputListing:
    """Query the kernel, PortAudio and the sound server, each within its time limit."""

    async def query() -> InputListing:
        server = SoundServer()
        try:
            return await list_inputs(cards, server)
        finally:
            server.close()

    return asyncio.run(query())


def absence(spec: DeviceSpec, cards: Cards, inputs: Sequence[AudioInput]) -> str | None:
    """Return why a device is not present, with the remedy; None: it is.

    Args:
        spec: the device, without channel.
        cards: the sound cards.
        inputs: the inputs of this computer, for devices that `is_listed_by_name`.

    """
    try:
        if spec.is_file:
            find_recordings(spec.path)
        elif spec.kind in CARD_KINDS:
            cards.find(spec)
        elif not any(each.device == str(spec) for each in inputs):
            return not_found([each.device for each in inputs])
    except (AsdMonitorError, CardNotFoundError) as error:
        return str(error)
    return None
