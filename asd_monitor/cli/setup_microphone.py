"""Choice of the microphone and its channel in `setup`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from asd_monitor.audio.devices.cards import CardNotFoundError, Cards, stable_name
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec, parse_device
from asd_monitor.cli.setup_dialogue import Dialogue
from asd_monitor.cli.setup_listening import (
    ListenedChannel,
    channel_table,
    channels_of,
    channels_of_device,
    find_inputs,
    further_channels,
    listen,
    listen_to_recording,
)
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.guided_setup.channel_trial import ChannelSound, channel_warnings, reacting

_AGAIN = "r"


def choose_microphone(given: str | None, dialogue: Dialogue) -> DeviceSpec:
    """Return the device and channel: the one that is given, or one that is chosen by its sound.

    Raises:
        UsageError: the device string is malformed, or a recording cannot be read.
        OperationError: no microphone is found, or no question may be asked and the sound of the
            one that is given cannot be used.

    """
    if given is not None:
        spec = _stable(parse_device(given), dialogue)
        heard = _listen_to(spec, dialogue)
        if heard is None or _is_accepted(heard[0], heard, dialogue):
            return spec
    while True:
        channels, chosen = _choose(dialogue)
        if chosen is not None and _is_accepted(chosen, channels, dialogue):
            return _stable(parse_device(chosen.text), dialogue)


def _stable(spec: DeviceSpec, dialogue: Dialogue) -> DeviceSpec:
    """Return a device string that names the same card after a restart, too, where there is one."""
    if spec.kind is not DeviceKind.HW or not spec.name.isdigit():
        return spec
    cards = Cards()
    try:
        card = cards.find(spec)
    except CardNotFoundError:  # one of a sound server, or one that is not plugged in
        dialogue.warn(f"{spec} may be another microphone after a restart: prefer a stable name")
        return spec
    if spec.pcm not in {None, card.pcms[0].number}:
        return spec  # a stable name means the first input of the card
    stable = replace(parse_device(stable_name(card, cards.all())), channel=spec.channel)
    if dialogue.confirm(f"{spec} is {stable}, also after a restart: use that name?", default=True):
        return stable
    return spec


def _listen_to(spec: DeviceSpec, dialogue: Dialogue) -> list[ListenedChannel] | None:
    """Listen to a device; its own channel is the first.  None: nothing was heard."""
    if spec.is_file:
        channels = listen_to_recording(spec)
    else:
        channels = channels_of_device(spec)
        listen(channels, dialogue.without_questions())
    own = next((each for each in channels if each.channel == (spec.channel or 0)), None)
    dialogue.console.print(channel_table(channels))
    if own is None or own.sound() is None:
        reason = None if own is None else own.problem
        dialogue.warn(f"{spec}: no sound: {reason or 'it has no such channel: choose another'}")
        return None
    return [own, *(each for each in channels if each is not own)]


def _choose(dialogue: Dialogue) -> tuple[list[ListenedChannel], ListenedChannel | None]:
    listing = find_inputs()
    for problem in listing.problems:
        dialogue.warn(problem)
    channels = channels_of(listing.inputs)
    if not channels:
        raise OperationError(
            "no microphone found: connect one, and run setup again; for recordings give "
            "--device file:PATH"
        )
    listen(channels, dialogue)
    dialogue.console.print(channel_table(channels))
    for further in further_channels(channels):
        dialogue.warn(further)
    shown = [each for each in channels if each.exists]
    problems = {each.problem: each.device for each in shown if each.problem is not None}
    for problem, device in problems.items():
        dialogue.warn(f"{device}: {problem}")
    default = _likeliest(shown)

    def parse(answer: str) -> ListenedChannel | None:
        if answer.lower() == _AGAIN:
            return None
        if not answer.isdecimal() or not 1 <= int(answer) <= len(shown):
            raise UsageError(f"write a number from 1 to {len(shown)}, or {_AGAIN}")
        return shown[int(answer) - 1]

    question = f"Which one is at the machine? (number, {_AGAIN}: listen again)"
    return shown, dialogue.ask(question, None if default is None else str(default + 1), parse)


def _likeliest(channels: Sequence[ListenedChannel]) -> int | None:
    """Return the number of the channel that reacts, or of the only one with sound."""
    sounds = [each.sound() for each in channels]
    usable = [number for number, each in enumerate(sounds) if each and not each.is_silent]
    tapped = reacting(sounds)
    if tapped is not None:
        return tapped
    return usable[0] if len(usable) == 1 else None


def _is_accepted(
    own: ListenedChannel, channels: Sequence[ListenedChannel], dialogue: Dialogue
) -> bool:
    """Say what is wrong with a channel; return whether to go on with it."""
    sound = own.sound()
    others = [
        other
        for each in channels
        if each is not own and each.device == own.device and (other := each.sound()) is not None
    ]
    if sound is None:
        dialogue.warn(f"{own.text}: no sound: {own.problem or 'it does not answer'}")
        return dialogue.confirm("Use it all the same?", default=not dialogue.interactive)
    warnings = channel_warnings(sound, others)
    for warning in warnings:
        dialogue.warn(warning)
    if not warnings:
        dialogue.success(
            f"{own.text}: {sound.levels.rms_dbfs:.0f} dBFS, peaks {sound.levels.peak_dbfs:.0f} dBFS"
        )
        return True
    if not dialogue.interactive and (refusal := _refusal(own, sound, channels)) is not None:
        raise OperationError(refusal)
    return dialogue.confirm("Use it all the same?", default=not dialogue.interactive)


def _refusal(
    own: ListenedChannel, sound: ChannelSound, channels: Sequence[ListenedChannel]
) -> str | None:
    """Return why a channel is not set up without a question, and which others have sound.

    None: it is.  A recording may begin with silence: training decides on all of it.
    """
    usable = [
        f"--device {shlex.quote(each.text)} ({found.levels.rms_dbfs:.0f} dBFS)"
        for each in channels
        if each is not own and each.exists and (found := each.sound()) is not None
        if not found.levels.is_quiet and not found.levels.is_clipping
    ]
    if sound.levels.is_clipping:
        what = "clips all the time"
    elif sound.levels.is_quiet and (usable or not own.device.is_file):
        what = "is silent"
    else:
        return None
    others = f"it has sound with {' or '.join(usable)}" if usable else "no other channel has sound"
    return (
        f"{own.text} {what}, and a model of that detects nothing: {others}; check cable and gain "
        "(`alsamixer`), or run setup without --yes to use it all the same"
    )
