"""Problems that a test computer cannot have: their facts are given to the checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from packaging.requirements import Requirement

from asd_monitor.audio.devices.cards import Cards
from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.inputs import InputListing
from asd_monitor.config.machine_settings import Machine
from asd_monitor.diagnosis.capture_trial import Trial
from asd_monitor.diagnosis.clock import ClockFacts, check_clock
from asd_monitor.diagnosis.disk import DiskFacts, check_disk
from asd_monitor.diagnosis.disk_reading import read_state_folder
from asd_monitor.diagnosis.findings import Finding
from asd_monitor.diagnosis.load import check_load
from asd_monitor.diagnosis.load_reading import read_load
from asd_monitor.diagnosis.service import ServiceFacts, check_service
from asd_monitor.diagnosis.sound import DeviceFacts, DeviceNode, SoundFacts, check_sound
from asd_monitor.diagnosis.sound_reading import SoundReader
from asd_monitor.diagnosis.versions import Library, check_versions
from asd_monitor.diagnosis.versions_reading import read_versions
from asd_monitor.guided_setup.service_unit import SHIPPED_UNITS
from experiments.doctor.place import MACHINE, Examine, Place, problem
from tests.doubles.card_tree import add_card

_NOW_S = 1.8e9
_UNIT = "asd-monitor@hall.service"
_RUNS = {
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "ActiveState": "active",
    "Result": "success",
    "ExecMainStatus": "0",
    "WatchdogUSec": "1min",
    "DynamicUser": "yes",
    "MainPID": "17",
}


def _clock(**changes: Any) -> Examine:
    facts = ClockFacts(_NOW_S, is_synced=True, past_s=_NOW_S - 1e6, ntp=True)
    return lambda _: list(check_clock(replace(facts, **changes)))


def _load(**changes: Any) -> Examine:
    def examine(_: Place) -> list[Finding]:
        facts = replace(read_load([], 2, pid=None), capacity=50)
        limits = replace(facts.limits, **changes.pop("limits", {}))
        return list(check_load(replace(facts, limits=limits, **changes)))

    return examine


def _service(unit_text: str | None = None, log: str = "started", **changes: str) -> Examine:
    shipped = next(path.read_text() for path in SHIPPED_UNITS if path.is_file())
    text = shipped if unit_text is None else shipped.replace(unit_text, "")
    facts = ServiceFacts(_UNIT, {**_RUNS, **changes}, text, shipped, 61000, (log,), ("audio",))
    return lambda _: list(check_service(facts))


def _versions(**changes: Any) -> Examine:
    def examine(place: Place) -> list[Finding]:
        facts = read_versions(
            place.state, portaudio_problem=None, needs_portaudio=True, service_program=None
        )
        return list(check_versions(replace(facts, **changes)))

    return examine


def _disk(**changes: Any) -> Examine:
    def examine(place: Place) -> Iterator[Finding]:
        facts: DiskFacts = read_state_folder(place.state)
        return check_disk(replace(facts, **changes), is_service=True)

    return lambda place: list(examine(place))


def _held(place: Place) -> list[Finding]:
    root = place.folder / "computer"
    (root / "proc/asound").mkdir(parents=True)
    add_card(root, 1, "Device", usb_id="0d8c:0014", usb_path="1-1.4", held_by=(4711, "arecord"))
    place.machine["device"] = "usb-path:1-1.4"
    reader = SoundReader(
        place.state, None, daemon_runs=False, try_device=lambda _spec, _state: Trial(None),
        list_inputs=_no_inputs, root=root,
    )  # fmt: skip
    return list(check_sound(reader.read({MACHINE: Machine(device="usb-path:1-1.4")})))


def _no_inputs(_: Cards) -> InputListing:
    return InputListing((), ())


def _facts(device: str) -> tuple[DeviceFacts, SoundFacts]:
    """Return a device that was not tried, and a computer that permits no input to this user."""
    facts = DeviceFacts(
        spec=parse_device(device),
        machines=(MACHINE,),
        absence=None,
        holder=None,
        held_by_daemon=False,
        trials=(),
    )
    node = DeviceNode("/dev/snd/pcmC1D0c", "audio", is_readable=False, by_group=True)
    sound = SoundFacts(
        cards=(),
        inputs=1,
        problems=(),
        nodes=(node,),
        has_pulse_plugin=False,
        has_server=True,
        devices=(facts,),
        service_groups=None,
    )
    return facts, sound


def _sound(device: str, **changes: Any) -> Examine:
    _, sound = _facts(device)
    return lambda _: list(check_sound(replace(sound, **changes)))


def _suspended(_: Place) -> list[Finding]:
    facts, sound = _facts("hw:1")
    suspended = replace(facts, autosuspend="/sys/bus/usb/devices/1-1.4")
    return list(check_sound(replace(sound, devices=(suspended,))))


GIVEN = (
    problem("the clock is not set", "clock time", _clock(wall_s=1e6), is_real=False),
    problem("no time server", "clock synchronised", _clock(is_synced=False), is_real=False),
    problem("no inodes", "disk inodes", _disk(inodes=10**6, free_inodes=3), is_real=False),
    problem("a network file system", "disk file_system", _disk(file_system="nfs4"), is_real=False),
    problem("too many machines", "load capacity", _load(machines=90), is_real=False),
    problem("a memory limit", "load memory", _load(limits={"memory_bytes": 10**8}), is_real=False),
    problem("a processor limit", "load processor", _load(limits={"cores": 0.1}), is_real=False),
    problem(
        "under-voltage", "load power", _load(throttled="the voltage is too low"), is_real=False
    ),
    problem("a device in use", "sound use", _held, is_real=False),
    problem("not in the group audio", "sound permissions", _sound("hw:1"), is_real=False),
    problem(
        "a service not in the group audio",
        "sound permissions",
        _sound("hw:1", service_groups=()),
        is_real=False,
    ),
    problem(
        "a sound server in a service",
        "sound sound_server",
        _sound("pulse:x", service_groups=("audio",)),
        is_real=False,
    ),
    problem(
        "no plugin for the sound server", "sound sound_server", _sound("pulse:x"), is_real=False
    ),
    problem("USB autosuspend", "sound power", _suspended, is_real=False),
    problem(
        "an old library",
        "versions libraries",
        _versions(libraries=(Library(Requirement("paho-mqtt>=2.1"), "1.6.1"),)),
        is_real=False,
    ),
    problem("Python 3.10", "versions python", _versions(python="3.10.1"), is_real=False),
    problem(
        "two installations mixed",
        "versions package",
        _versions(metadata=("0.0.9", "0.1.0")),
        is_real=False,
    ),
    problem("no unit", "service unit", _service(LoadState="not-found"), is_real=False),
    problem(
        "a service that ended with 2",
        "service active",
        _service(ActiveState="failed", ExecMainStatus="2"),
        is_real=False,
    ),
    problem(
        "a disabled service", "service enabled", _service(UnitFileState="disabled"), is_real=False
    ),
    problem("an older unit", "service unit_version", _service("WatchdogSec=60\n"), is_real=False),
    problem("no watchdog", "service watchdog", _service(WatchdogUSec="0"), is_real=False),
    problem(
        "two daemons take the session over",
        "service log",
        _service(log="another client has connected with the client id asd-edge-07"),
        is_real=False,
    ),
)
"""Problems whose facts are given."""
