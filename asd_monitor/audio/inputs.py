"""Listing of this computer's inputs, each with a stable device string."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from asd_monitor.audio.capture.child_process import InputQueryError, query_portaudio_inputs
from asd_monitor.audio.capture.child_protocol import PortAudioInput
from asd_monitor.audio.devices.cards import Card, Cards, Holder, stable_name
from asd_monitor.audio.devices.remedies import NO_PERMISSION
from asd_monitor.audio.devices.sound_server import (
    NoSoundServerError,
    ServerSource,
    SoundServer,
    SoundServerQueryError,
)


@dataclass(frozen=True, slots=True)
class AudioInput:
    """One input of this computer."""

    device: str  # device string, stable
    hw: str | None  # ALSA card and PCM, such as hw:1,0; valid until the next boot or replug
    name: str
    channels: tuple[int, ...]  # empty: any, or unknown while it is in use
    rates_hz: tuple[int, ...]
    holder: Holder | None


@dataclass(frozen=True, slots=True)
class InputListing:
    """All inputs found, and one line for each query that failed."""

    inputs: tuple[AudioInput, ...]
    problems: tuple[str, ...]


async def list_inputs(
    cards: Cards,
    server: SoundServer,
    query_portaudio: Callable[[], Awaitable[list[PortAudioInput]]] = query_portaudio_inputs,
) -> InputListing:
    """Query the kernel, PortAudio (in a process of its own) and the sound server."""
    problems = []
    listed: list[PortAudioInput] = []
    try:
        listed = await query_portaudio()
    except InputQueryError as error:
        problems.append(str(error))
    sources: list[ServerSource] = []
    try:
        with contextlib.suppress(NoSoundServerError):  # the usual case on a plant's computer
            sources = await server.sources()
    except SoundServerQueryError as error:
        problems.append(str(error))
    if cards.access_denied:
        problems.append(NO_PERMISSION)
    return InputListing(tuple(merge_inputs(cards.all(), listed, sources)), tuple(problems))


def merge_inputs(
    cards: list[Card], listed: list[PortAudioInput], sources: list[ServerSource]
) -> list[AudioInput]:
    """Return the inputs of all three: cards first, then the sound server's, then other names."""
    by_hw = {each.hw: each for each in listed if each.hw}
    inputs = []
    for card in cards:
        for pcm in card.pcms:
            input_ = by_hw.pop((card.number, pcm.number), None)
            device = stable_name(card, cards)
            if pcm is not card.pcms[0]:
                device = f"hw:CARD={card.id},DEV={pcm.number}"
            inputs.append(
                AudioInput(
                    device=device,
                    hw=f"hw:{card.number},{pcm.number}",
                    name=card.name,
                    channels=card.channels or ((input_.channels,) if input_ else ()),
                    rates_hz=card.rates_hz or (input_.rates_hz if input_ else ()),
                    holder=pcm.holder,
                )
            )
    for (card_number, pcm_number), each in by_hw.items():
        hw = f"hw:{card_number},{pcm_number}"
        inputs.append(AudioInput(hw, hw, each.name, (), each.rates_hz, None))
    inputs += [
        AudioInput(
            device=f"pulse:{source.name}",
            hw=None,
            name=source.description,
            channels=(source.channels,),
            rates_hz=(source.rate_hz,),
            holder=None,
        )
        for source in sources
        if not source.name.endswith(".monitor")  # the playback of an output
    ]
    for each in listed:
        if each.name == "default":
            name = "the system's default"
            inputs.append(AudioInput("default", None, name, (), each.rates_hz, None))
        elif each.hw is None and each.name != "pulse":
            device = f"name:{each.name}"
            inputs.append(AudioInput(device, None, each.name, (), each.rates_hz, None))
    return inputs
