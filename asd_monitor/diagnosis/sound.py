"""Checks of the sound: libraries, permissions, devices, and what each delivers; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asd_monitor.audio.devices.cards import Holder
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
from asd_monitor.diagnosis.capture_trial import Trial
from asd_monitor.diagnosis.findings import Area, Check, Finding, divided
from asd_monitor.diagnosis.levels import sound_defects
from asd_monitor.wording import count

_SERVER_KINDS = frozenset({DeviceKind.PULSE, DeviceKind.DEFAULT})
_OF_FAILED = frozenset({"dead", "clipping"})


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """An input in /dev/snd."""

    path: str
    group: str
    is_readable: bool  # by this user
    by_group: bool  # whether its group may read it


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """The device of some machines."""

    spec: DeviceSpec  # without channel
    machines: tuple[str, ...]
    absence: str | None  # why it is not present, with the remedy
    holder: Holder | None  # process that has it open
    held_by_daemon: bool
    trials: tuple[tuple[str, Trial], ...]  # by machine; none: no trial was made
    autosuspend: str | None = None  # folder of a USB device that may be suspended


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What was found of the sound of this computer."""

    cards: tuple[str, ...]  # stable names
    inputs: int  # that PortAudio and the sound server list
    problems: tuple[str, ...]  # of the queries, each with the remedy
    nodes: tuple[DeviceNode, ...]
    has_pulse_plugin: bool
    has_server: bool  # a sound server answers
    devices: tuple[DeviceFacts, ...]
    service_groups: tuple[str, ...] | None  # of the service; None: there is none
    service_is_root: bool = False

    @property
    def needs_inputs(self) -> bool:
        """Whether an input of this computer is needed: not where all devices are recordings."""
        return not self.devices or any(not each.spec.is_file for each in self.devices)


def check_sound(facts: SoundFacts) -> Iterator[Finding]:
    """Yield the findings."""
    check = Check(Area.SOUND, "inputs", "this computer")
    uses_cards = any(not each.spec.is_file for each in facts.devices)
    for problem in facts.problems:
        what, remedy = divided(problem)
        if facts.needs_inputs:
            yield check.failed(what, remedy)
        else:
            yield check.not_checked(f"{what}; no input is needed, since the devices are recordings")
    if not facts.problems:
        what = f"{count(len(facts.cards), 'sound card')}, {count(facts.inputs, 'input')}"
        if not facts.inputs and uses_cards:
            yield check.failed(what, "connect the microphone, and look at `dmesg`")
        elif not facts.needs_inputs:
            yield check.ok(f"{what}; none is needed, since the devices are recordings")
        elif not facts.inputs:
            yield check.warning(what, "connect the microphone, and look at `dmesg`")
        else:
            yield check.ok(what)
    yield from _permissions(facts)
    yield from _plugin(facts)
    for device in facts.devices:
        yield from _device(device)


def _permissions(facts: SoundFacts) -> Iterator[Finding]:
    if not facts.nodes:
        return
    check = Check(Area.SOUND, "permissions", "/dev/snd")
    groups = sorted({each.group for each in facts.nodes})
    listed = ", ".join(groups)
    if facts.service_groups is not None:
        permitted = facts.service_is_root or any(
            node.by_group and node.group in facts.service_groups for node in facts.nodes
        )
        if not permitted:
            yield check.failed(
                f"the user of the service is not in the group {listed}",
                f"add `SupplementaryGroups={groups[0]}` to the unit",
            )
            return
        yield check.ok(f"the service is in the group {listed}")
    elif not any(node.is_readable for node in facts.nodes):
        yield check.failed(
            "this user may open no input",
            f"`sudo usermod -aG {groups[0]} $USER`, then log in again",
        )
    else:
        yield check.ok("this user may open inputs")


def _plugin(facts: SoundFacts) -> Iterator[Finding]:
    server_devices = [each for each in facts.devices if each.spec.kind in _SERVER_KINDS]
    for device in server_devices:
        check = Check(Area.SOUND, "sound_server", str(device.spec))
        if facts.service_groups is not None:
            yield check.failed(
                "a service has no sound server: PulseAudio and PipeWire run for a user who is "
                "logged in",
                "name the card itself, as `asd-monitor devices` lists it (usb-path:… or card-id:…)",
            )
        elif device.spec.kind is DeviceKind.PULSE and not facts.has_server:
            yield check.failed(
                "no sound server answers",
                "start PulseAudio or PipeWire for this user, or name the card itself",
            )
        elif device.spec.kind is DeviceKind.PULSE and not facts.has_pulse_plugin:
            yield check.failed(
                "ALSA has no plugin for the sound server", "`apt install libasound2-plugins`"
            )
        else:
            yield check.ok("can be reached" if facts.has_server else "without a sound server")


def _device(device: DeviceFacts) -> Iterator[Finding]:
    name = str(device.spec)
    check = Check(Area.SOUND, "device", name)
    if device.absence is not None:
        what, remedy = divided(device.absence)
        yield check.failed(f"not present: {what}", remedy)
        return
    yield check.ok(f"present, for {', '.join(device.machines)}")
    check = Check(Area.SOUND, "use", name)
    if device.held_by_daemon:
        yield check.ok("the daemon has it open")
    elif device.holder is not None:
        yield check.failed(
            f"{device.holder} has it open", "end that process, or let it use another device"
        )
    elif not device.spec.is_file:
        yield check.ok("no other program has it open")
    if device.autosuspend is not None:
        yield Check(Area.SOUND, "power", name).warning(
            "the kernel may suspend this USB device when it is not used",
            f"`echo on | sudo tee {device.autosuspend}/power/control`, and an udev rule: see "
            "docs/troubleshooting.md",
        )
    for machine, trial in device.trials:
        yield from _trial(machine, trial)
    if not device.trials and device.holder is not None:
        yield Check(Area.SOUND, "sound", name).not_checked(
            "another process captures it", "end that process and run doctor again"
        )


def _trial(machine: str, trial: Trial) -> Iterator[Finding]:
    check = Check(Area.SOUND, "sound", machine)
    if trial.problem is not None:
        yield check.failed(*divided(trial.problem))
        return
    levels = trial.levels
    if levels is None:
        return
    of = "received from the daemon: " if trial.through_daemon else ""
    yield check.ok(
        f"{of}{trial.rate_hz} Hz, {count(trial.channels or 0, 'channel')}, "
        f"{levels.rms_dbfs:.0f} dBFS, peak {levels.peak_dbfs:.0f} dBFS"
    )
    for kind, text in sound_defects(levels, trial.hum).items():
        check = Check(Area.SOUND, kind, machine)
        what, _, remedy = text.rpartition(": ")
        yield check.failed(what, remedy) if kind in _OF_FAILED else check.warning(what, remedy)
    if trial.lost_samples:
        yield Check(Area.SOUND, "lost", machine).warning(
            f"{trial.lost_samples} samples were lost in some seconds",
            "use another USB port or hub, and look at `dmesg`",
        )


def rates_of(devices: Sequence[DeviceFacts]) -> dict[str, int]:
    """Return the rates in Hz that were delivered, by machine."""
    return {
        machine: trial.rate_hz
        for device in devices
        for machine, trial in device.trials
        if trial.rate_hz is not None
    }
