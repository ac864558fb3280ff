"""The checks that need no other program: facts → findings."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from asd_monitor.audio.files.levels import LevelAccumulator
from asd_monitor.daemon.disk_check import DiskReading
from asd_monitor.diagnosis.clock import ClockFacts, check_clock
from asd_monitor.diagnosis.configuration import FileFacts, check_configuration
from asd_monitor.diagnosis.disk import DiskFacts, Ownership, check_disk
from asd_monitor.diagnosis.findings import Area, Check, Result, divided, worst
from asd_monitor.diagnosis.levels import hum_share, sound_defects
from asd_monitor.diagnosis.load import Limits, LoadFacts, check_load
from asd_monitor.diagnosis.service import ServiceFacts, check_service
from asd_monitor.diagnosis.service_reading import properties_of
from asd_monitor.diagnosis.subject import ConfigurationRead
from asd_monitor.diagnosis.versions import (
    Library,
    OtherProgram,
    VersionFacts,
    check_versions,
)
from asd_monitor.guided_setup.service_unit import SHIPPED_UNITS

NOW_S = datetime(2026, 11, 29, tzinfo=UTC).timestamp()
CLOCK = ClockFacts(NOW_S, is_synced=True, past_s=NOW_S - 1e6, ntp=True)
STATE = Path("/var/lib/asd-monitor/hall")
DISK = DiskFacts(
    STATE, exists=True, reading=DiskReading(10**10, 10**11, None), write_error=None,
    file_system="ext4", device="/dev/sda1", inodes=10**6, free_inodes=10**5,
    models=Ownership(STATE / "models", 61000, 61000), is_closed=True,
)  # fmt: skip
LOAD = LoadFacts(
    2, 50, 4, 0.5, "schedutil", None, 4 * 10**9, 3 * 10**9,
    Limits("the daemon", descriptors=1024),
)  # fmt: skip
VERSIONS = VersionFacts(
    "0.1.0", ("0.1.0",), "3.11.7", ">=3.11", (Library(Requirement("numpy>=2.0"), "2.4.6"),),
    None, True, "1.2.2", (), None, (), STATE,
)  # fmt: skip
UNIT = SHIPPED_UNITS[-1].read_text()
SERVICE = ServiceFacts(
    "asd-monitor@hall.service",
    {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active",
     "Result": "success", "ExecMainStatus": "0", "NRestarts": "0", "WatchdogUSec": "1min",
     "DynamicUser": "yes",
     "MainPID": "17", "StatusText": "monitoring"},
    UNIT, UNIT, 61000, ("started",), ("audio",),
)  # fmt: skip


def bad(findings: Any) -> list[tuple[str, Result]]:
    found = [each for each in findings if each.result is not Result.OK]
    assert all(each.remedy for each in found if each.result is not Result.NOT_CHECKED)
    return [(each.check, each.result) for each in found]


def test_nothing_is_wrong_where_all_is_well() -> None:
    for findings in (
        check_clock(CLOCK),
        check_disk(DISK, is_service=True),
        check_load(LOAD),
        check_versions(VERSIONS),
        check_service(SERVICE),
    ):
        assert bad(findings) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"is_synced": False}, [("synchronised", Result.WARNING)]),
        ({"wall_s": 0.0}, [("time", Result.FAILED)]),
        ({"wall_s": 4.2e9}, [("time", Result.FAILED)]),
        (
            {"past_s": NOW_S + 1e4, "is_synced": False},
            [("time", Result.FAILED), ("synchronised", Result.WARNING)],
        ),
    ],
)
def test_the_clock(change: dict[str, Any], expected: Any) -> None:
    assert bad(check_clock(replace(CLOCK, **change))) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"reading": DiskReading(10**7, 10**11, None)}, ("space", Result.FAILED)),
        ({"write_error": "No space left on device"}, ("writing", Result.FAILED)),
        ({"reading": DiskReading(10**10, 10**11, "mounted read-only")}, ("writing", Result.FAILED)),
        ({"free_inodes": 5}, ("inodes", Result.FAILED)),
        ({"file_system": "tmpfs"}, ("file_system", Result.WARNING)),
        ({"file_system": "nfs4"}, ("file_system", Result.WARNING)),
        ({"is_closed": False}, ("folder", Result.WARNING)),
        ({"models": Ownership(STATE / "models", 0, 61000)}, ("owner", Result.FAILED)),
        ({"exists": False, "write_error": "Permission denied"}, ("folder", Result.FAILED)),
    ],
)
def test_the_disk(change: dict[str, Any], expected: Any) -> None:
    assert bad(check_disk(replace(DISK, **change), is_service=True)) == [expected]


def test_the_owner_of_models_is_of_interest_for_a_service_only() -> None:
    other = replace(DISK, models=Ownership(STATE / "models", 0, 61000))
    assert bad(check_disk(other, is_service=False)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"machines": 51}, [("capacity", Result.FAILED)]),
        ({"machines": 45}, [("capacity", Result.WARNING)]),
        ({"capacity": None}, [("capacity", Result.NOT_CHECKED)]),
        ({"load": 9.0}, [("processor", Result.WARNING)]),
        ({"governor": "powersave"}, [("processor", Result.WARNING)]),
        ({"throttled": "too hot"}, [("power", Result.WARNING)]),
        ({"available_bytes": 10**8}, [("memory", Result.FAILED)]),
        ({"limits": Limits("it", memory_bytes=300_000_000)}, [("memory", Result.WARNING)]),
        ({"limits": Limits("it", address_space_bytes=10**8)}, [("memory", Result.FAILED)]),
        ({"limits": Limits("it", descriptors=70)}, [("descriptors", Result.FAILED)]),
        (
            {"limits": Limits("it", cores=0.02)},
            [("capacity", Result.FAILED), ("processor", Result.WARNING)],
        ),
    ],
)
def test_the_load(change: dict[str, Any], expected: Any) -> None:
    assert bad(check_load(replace(LOAD, **change))) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"python": "3.10.2"}, "python"),
        ({"libraries": (Library(Requirement("numpy>=2.0"), "1.26.4"),)}, "libraries"),
        ({"libraries": (Library(Requirement("numpy>=2.0"), None),)}, "libraries"),
        ({"portaudio_problem": "PortAudio is not installed: apt install x"}, "portaudio"),
        ({"sndfile": None}, "sndfile"),
        ({"metadata": ("0.0.9",)}, "package"),
        ({"metadata": ("0.0.9", "0.1.0")}, "package"),
        ({"others": (OtherProgram("/opt/x", "the service", "0.0.9"),)}, "installations"),
        ({"others": (OtherProgram("/opt/x", "the service", None),)}, "installations"),
        ({"journal_problem": "/s/alarms.db: format 9: upgrade asd-monitor"}, "journal"),
    ],
)
def test_versions(change: dict[str, Any], expected: str) -> None:
    assert bad(check_versions(replace(VERSIONS, **change))) == [(expected, Result.FAILED)]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"LoadState": "not-found"}, ("unit", Result.FAILED)),
        ({"NeedDaemonReload": "yes"}, ("unit", Result.WARNING)),
        ({"UnitFileState": "disabled"}, ("enabled", Result.WARNING)),
        ({"ActiveState": "inactive"}, ("active", Result.FAILED)),
        ({"ActiveState": "failed", "ExecMainStatus": "2"}, ("active", Result.FAILED)),
        ({"ActiveState": "failed", "Result": "watchdog"}, ("active", Result.FAILED)),
        ({"NRestarts": "7"}, ("active", Result.WARNING)),
        ({"WatchdogUSec": "0"}, ("watchdog", Result.WARNING)),
        ({"DynamicUser": "no", "User": "root"}, ("user", Result.WARNING)),
    ],
)
def test_the_service(properties: dict[str, str], expected: Any) -> None:
    facts = replace(SERVICE, properties={**SERVICE.properties, **properties})
    assert bad(check_service(facts)) == [expected]


def test_the_invalid_configuration_of_an_ended_service_is_named() -> None:
    properties = {**SERVICE.properties, "ActiveState": "failed", "ExecMainStatus": "2"}
    facts = replace(SERVICE, properties=properties)
    assert any("invalid configuration" in each.what for each in check_service(facts))


def test_a_unit_of_an_earlier_version_lacks_directives() -> None:
    older = UNIT.replace("WatchdogSec=60\n", "").replace("UMask=0077\n", "")
    (found,) = [
        each
        for each in check_service(replace(SERVICE, unit_text=older))
        if each.result is Result.WARNING
    ]
    assert "UMask=0077, WatchdogSec=60" in found.what
    other_path = UNIT.replace("/opt/asd-monitor/bin", "/srv/bin")
    assert bad(check_service(replace(SERVICE, unit_text=other_path))) == []


@pytest.mark.parametrize(
    "line",
    ["another client has connected with the client id asd-edge", "Watchdog timeout (limit 1min)!"],
)
def test_the_log_of_the_service(line: str) -> None:
    assert bad(check_service(replace(SERVICE, log=("x", line)))) == [("log", Result.WARNING)]


def test_properties_of_systemctl() -> None:
    shown = properties_of("ExecStart={ path=/opt/a/bin/x ; argv[]=x }\nUser=\nMainPID=17\n")
    facts = replace(SERVICE, properties=shown)
    assert (facts.program, facts.pid, shown["User"]) == ("/opt/a/bin/x", 17, "")


def file(mode: int, **changes: Any) -> FileFacts:
    facts = FileFacts(Path("/etc/asd-monitor/x"), "", False, stat.S_IFREG | mode, True)
    return replace(facts, **changes)


@pytest.mark.parametrize(
    ("facts", "is_service", "expected"),
    [
        (file(0o644), True, []),
        (file(0o640), True, [("permissions", Result.FAILED)]),
        (file(0o640), False, []),
        (file(0o666), False, [("permissions", Result.FAILED)]),
        (file(0o600, is_secret=True), False, []),
        (file(0o644, is_secret=True), False, [("permissions", Result.WARNING)]),
        (file(0o600, is_secret=True), True, [("permissions", Result.FAILED)]),
        (file(0o600, is_secret=True, is_credential=True), True, []),
        (file(0o600, is_readable=False), False, [("permissions", Result.FAILED)]),
    ],
)
def test_permissions_of_files(facts: FileFacts, is_service: bool, expected: Any) -> None:
    read = ConfigurationRead(
        Path("/etc/asd-monitor/hall.yaml"), None, errors=("f:1:1: mqtt: bad: mend it",)
    )
    assert bad(check_configuration(read, [facts], is_service=is_service))[1:] == expected


def test_errors_of_the_configuration_have_place_and_remedy() -> None:
    line = "/e/h.yaml:3:8: mqtt.port: 'x' is not a whole number: write a whole number"
    read = ConfigurationRead(Path("/e/h.yaml"), None, errors=(line,))
    (found,) = check_configuration(read, [], is_service=False)
    assert (found.where, found.what, found.remedy) == (
        "/e/h.yaml:3:8",
        "mqtt.port: 'x' is not a whole number",
        "write a whole number",
    )


RATE_HZ = 16_000
TIME_S = np.arange(4 * RATE_HZ) / RATE_HZ
NOISE = np.random.default_rng(1).standard_normal(len(TIME_S)).astype(np.float32) * 0.02
HUM = sum(np.sin(2 * np.pi * 50 * n * TIME_S) / n for n in range(1, 8)).astype(np.float32)  # type: ignore[union-attr]
TONE = np.sin(2 * np.pi * 50 * TIME_S).astype(np.float32)


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        (NOISE, set()),
        (0.3 * HUM + 0.2 * NOISE, {"hum"}),
        (0.3 * HUM * 0.1 + NOISE * 5, set()),
        (0.3 * TONE + 0.01 * NOISE, set()),  # one line is a motor
        (np.zeros_like(NOISE), {"dead"}),
        (np.clip(NOISE * 200, -1, 1), {"clipping"}),
        (NOISE * 0.002, {"quiet"}),
    ],
)
def test_what_the_sound_shows(sound: Any, expected: set[str]) -> None:
    levels = LevelAccumulator(RATE_HZ)
    levels.push(np.asarray(sound, np.float32))
    share = hum_share(np.asarray(sound, np.float32), RATE_HZ)
    defects = sound_defects(levels.summary(), share)
    assert set(defects) == expected
    assert not any("record it again" in text for text in defects.values())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("broken: mend it", ("broken", "mend it")),
        ("/a/b.db: broken: mend it", ("/a/b.db: broken", "mend it")),
        ("hw:1: busy: end x", ("hw:1: busy", "end x")),
        ("broken", ("broken", None)),
        ("/m/v1 is damaged (a: b): train", ("/m/v1 is damaged (a: b)", "train")),
    ],
)
def test_messages_are_divided(message: str, expected: Any) -> None:
    assert divided(message) == expected


def test_the_worst_result() -> None:
    check = Check(Area.DISK, "x", "y")
    assert worst([check.ok("a"), check.not_checked("b")]) is Result.OK
    assert worst([check.warning("a", "b"), check.ok("c")]) is Result.WARNING
    assert worst([check.warning("a", "b"), check.failed("c", "d")]) is Result.FAILED


@pytest.mark.parametrize(("needed", "result"), [(True, "failed"), (False, "not_checked")])
def test_portaudio_is_needed_for_inputs_alone(needed: bool, result: str) -> None:
    problem = "PortAudio is not installed: apt install libportaudio2"
    facts = replace(VERSIONS, portaudio_problem=problem, needs_portaudio=needed)
    [found] = [each for each in check_versions(facts) if each.check == "portaudio"]
    assert (found.result, found.what.partition(";")[0]) == (result, "PortAudio is not installed")
