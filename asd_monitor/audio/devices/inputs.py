"""What there is to listen to on this computer, each with a name that lasts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from dataclasses import dataclass

from asd_monitor.audio.devices.cards import Card, Cards, Holder, stable_name
from asd_monitor.audio.devices.sound_server import (
    Feed,
    NoSoundServerError,
    SoundServer,
    SoundServerQueryError,
)

LIST_S = 20.0
_GONE_S = 5.0  # for a killed child
_HW = re.compile(r"\(hw:(\d+),(\d+)\)\Z")


@dataclass(frozen=True, slots=True)
class PortAudioInput:
    """What PortAudio says of an input; one that is open elsewhere it does not list."""

    name: str
    channels: int
    rates_hz: tuple[int, ...]

    @property
    def hw(self) -> tuple[int, int] | None:
        """Card and PCM, if it is a card's."""
        at = _HW.search(self.name)
        return (int(at[1]), int(at[2])) if at else None


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that can be listened to."""

    device: str  # the device string to use
    hw: str | None  # hw:1,0: what it is now, until the next boot or replug
    name: str
    channels: tuple[int, ...]  # empty: any, or not known while it is in use
    rates_hz: tuple[int, ...]
    holder: Holder | None


@dataclass(frozen=True, slots=True)
class Listing:
    """All inputs, and one line for each part of the truth that could not be had."""

    inputs: tuple[Input, ...]
    problems: tuple[str, ...]


async def list_inputs(cards: Cards, server: SoundServer) -> Listing:
    """Ask the kernel, PortAudio (in a process of its own) and the sound server."""
    problems = []
    found: list[PortAudioInput] = []
    try:
        found = await _ask_portaudio()
    except _ListingError as error:
        problems.append(str(error))
    sources: list[Feed] = []
    try:
        sources = await server.sources()
    except NoSoundServerError:
        pass  # most computers on the floor have none
    except SoundServerQueryError as error:
        problems.append(str(error))
    if cards.forbidden:
        problems.append("no permission for /dev/snd: add this user to the group audio")
    return Listing(tuple(merged(cards.all(), found, sources)), tuple(problems))


def merged(cards: list[Card], found: list[PortAudioInput], sources: list[Feed]) -> list[Input]:
    """Bring together what the three say: cards first, then the sound server's, then names."""
    heard = {each.hw: each for each in found if each.hw}
    inputs = []
    for card in cards:
        for pcm in card.pcms:
            input_ = heard.pop((card.number, pcm.number), None)
            lasting = stable_name(card, cards)
            if pcm is not card.pcms[0]:
                lasting = f"hw:CARD={card.id},DEV={pcm.number}"
            inputs.append(
                Input(
                    device=lasting,
                    hw=f"hw:{card.number},{pcm.number}",
                    name=card.name,
                    channels=card.channels or ((input_.channels,) if input_ else ()),
                    rates_hz=card.rates_hz or (input_.rates_hz if input_ else ()),
                    holder=pcm.holder,
                )
            )
    inputs += [
        Input(f"hw:{hw[0]},{hw[1]}", f"hw:{hw[0]},{hw[1]}", each.name, (), each.rates_hz, None)
        for hw, each in heard.items()
        if hw
    ]
    inputs += [
        Input(f"pulse:{each.name}", None, each.description, (each.channels,), (each.rate_hz,), None)
        for each in sources
        if not each.name.endswith(".monitor")  # what a loudspeaker plays
    ]
    for each in found:
        if each.name == "default":
            inputs.append(Input("default", None, "the system's default", (), each.rates_hz, None))
        elif each.hw is None and each.name != "pulse":
            inputs.append(Input(f"name:{each.name}", None, each.name, (), each.rates_hz, None))
    return inputs


class _ListingError(Exception):
    pass


async def _ask_portaudio() -> list[PortAudioInput]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "asd_monitor.audio.capture.child",
        '{"list": true}',
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "JACK_NO_START_SERVER": "1"},
    )
    try:
        async with asyncio.timeout(LIST_S):
            said, why = await process.communicate()
    except TimeoutError as error:
        raise _ListingError(
            f"PortAudio does not answer within {LIST_S:g} s: a device hangs; unplug it"
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            with contextlib.suppress(TimeoutError):  # the kernel may hold it
                async with asyncio.timeout(_GONE_S):
                    await process.communicate()
    if process.returncode or not said:
        lines = why.decode(errors="replace").strip().splitlines()
        raise _ListingError(
            lines[-1] if lines else f"PortAudio gave up (exit status {process.returncode})"
        )
    return [
        PortAudioInput(each["name"], each["channels"], tuple(each["rates_hz"]))
        for each in json.loads(said)["inputs"]
    ]
