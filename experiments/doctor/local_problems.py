"""Problems of configuration, sound, disk, models and versions, planted in files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asd_monitor.records import Samples
from asd_monitor.sealed_json import parsed_json, sealed_json
from experiments.chaos.small_disk import SmallDisk
from experiments.doctor.place import BOX, MACHINE, Examine, Place, problem
from tests.doubles.synthetic_sounds import machine_sound

_RATE_HZ = 16_000
_SMALL_BYTES = 4 << 20
_NOBODY = 65534


def _text(lines: str) -> Examine:
    """Return a plant that writes a configuration of its own."""

    def examine(place: Place) -> Any:
        head = f"version: 1\nbox: {BOX}\n"
        device = place.machine["device"]
        machines = f"machines:\n  {MACHINE}:\n    device: '{device}'\n"
        return place.doctor(text=lines.format(head=head, machines=machines))

    return examine


def _mode(mode: int) -> Examine:
    def examine(place: Place) -> Any:
        place.start_broker()
        place.write_config()
        place.config.chmod(mode)
        return place.doctor(write=False)

    return examine


def _open_password(place: Place) -> Any:
    password = place.folder / "password"
    password.write_text("x\n")
    password.chmod(0o644)
    place.mqtt |= {"username": "u", "password_file": password}
    return place.doctor()


def _no_file(place: Place) -> Any:
    return place.doctor(write=False)


def _device(text: str) -> Examine:
    def examine(place: Place) -> Any:
        place.start_broker()
        place.machine["device"] = text.format(folder=place.folder, files=place.healthy.recordings)
        return place.doctor()

    return examine


def _sound(make: Callable[[], Samples], rate_hz: int = _RATE_HZ) -> Examine:
    def examine(place: Place) -> Any:
        place.start_broker()
        path = place.folder / "planted.wav"
        soundfile.write(path, make(), rate_hz)
        place.machine["device"] = f"file:{path}"
        return place.doctor()

    return examine


def _hum() -> Samples:
    time_s = np.arange(6 * _RATE_HZ) / _RATE_HZ
    lines = [np.sin(2 * np.pi * 50 * n * time_s) / n for n in range(1, 8)]
    return np.asarray(0.3 * np.sum(lines, axis=0) + 0.002 * machine_sound(6.0), np.float32)


def _clipping() -> Samples:
    return np.clip(machine_sound(6.0) * 60, -1.0, 1.0)


def _full_disk(place: Place) -> Any:
    with SmallDisk(place.state, _SMALL_BYTES) as disk:
        disk.fill()
        return place.doctor()


def _read_only_disk(place: Place) -> Any:
    with SmallDisk(place.state, _SMALL_BYTES) as disk:
        disk.make_read_only()
        return place.doctor()


def _volatile_disk(place: Place) -> Any:
    with SmallDisk(place.state, _SMALL_BYTES):
        return place.doctor()


def _not_owned(place: Place) -> Any:
    os.chown(place.state, _NOBODY, _NOBODY)
    place.state.chmod(0o755)
    # root that may not write what others own
    return place.doctor(before=("setpriv", "--bounding-set=-dac_override,-dac_read_search"))


def _file_as_state(place: Place) -> Any:
    path = place.folder / "a-file"
    path.write_text("")
    return place.doctor(state=path)


def _damaged_journal(place: Place) -> Any:
    (place.state / "alarms.db.damaged-1").write_bytes(b"x")
    return place.doctor()


def _newer_journal(place: Place) -> Any:
    database = sqlite3.connect(place.state / "alarms.db")
    database.execute("CREATE TABLE alarms (id TEXT)")
    database.execute("PRAGMA user_version = 99")
    database.commit()
    database.close()
    return place.doctor()


def _no_model(place: Place) -> Any:
    return place.doctor(models=place.folder / "none")


def _changed(change: Callable[[Path], None]) -> Examine:
    """Return a plant that changes the files of the model's version."""

    def examine(place: Place) -> Any:
        models = place.own_models()
        change(models / MACHINE / "v1")
        return place.doctor(models=models)

    return examine


def _flip_bytes(version: Path) -> None:
    path = version / "views.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def _older_format(version: Path) -> None:
    path = version / "manifest.json"
    manifest = parsed_json(path.read_bytes())
    del manifest["sha256"]
    content, _ = sealed_json({**manifest, "format": 3})
    path.write_bytes(content)


def _no_current(version: Path) -> None:
    (version.parent / "current").unlink()


def _another_machine(place: Place) -> Any:
    models = place.own_models()
    (models / MACHINE).rename(models / "pump03")
    text = place.machine["device"]
    mqtt = f"mqtt: {{port: {place.mqtt['port']}}}"
    config = f"version: 1\nbox: {BOX}\n{mqtt}\nmachines:\n  pump03:\n    device: '{text}'\n"
    return place.doctor(models=models, text=config)


def _no_encoder(place: Place) -> Any:
    models = place.own_models()
    for path in models.rglob("*.onnx"):
        path.unlink()
    return place.doctor(models=models)


def _window(place: Place) -> Any:
    place.machine |= {"hop_s": 1.0}
    return place.doctor()


def _few_descriptors(place: Place) -> Any:
    return place.doctor(before=("prlimit", "--nofile=64:64"))


def _other_program(place: Place) -> Any:
    program = place.folder / "bin" / "asd-monitor"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho asd-monitor 0.0.1\n")
    program.chmod(0o755)
    place.environment["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return place.doctor()


LOCAL = (
    problem(
        "a mistyped key",
        "configuration settings",
        _text("{head}mqtt: {{hots: localhost}}\n{machines}"),
    ),
    problem(
        "a password in the configuration",
        "configuration settings",
        _text("{head}mqtt: {{password: hunter2}}\n{machines}"),
    ),
    problem(
        "TLS on the port without TLS",
        "configuration settings",
        _text("{head}mqtt: {{host: broker.invalid, tls: {{}}}}\n{machines}"),
    ),
    problem("no configuration file", "configuration settings", _no_file),
    problem("the configuration can be written by all", "configuration permissions", _mode(0o666)),
    problem("a password file that all may read", "configuration permissions", _open_password),
    problem("a malformed device", "configuration settings", _device("hv:1")),
    problem("a device that is not there", "sound device", _device("usb-path:9-9")),
    problem("a recording that is not there", "sound device", _device("file:{folder}/none.wav")),
    problem("a channel that is not there", "sound sound", _device("file:{files}#3")),
    problem("a muted microphone", "sound dead", _sound(lambda: np.zeros(96_000, np.float32))),
    problem("too high a gain", "sound clipping", _sound(_clipping)),
    problem("too low a gain", "sound quiet", _sound(lambda: machine_sound(6.0) * np.float32(1e-3))),
    problem("a broken shield", "sound hum", _sound(_hum)),
    problem("a full disk", "disk writing|space", _full_disk),
    problem("a read-only disk", "disk writing", _read_only_disk),
    problem("state in memory", "disk file_system", _volatile_disk),
    problem("the state folder of another user", "disk writing", _not_owned),
    problem("a file as state folder", "disk writing", _file_as_state),
    problem("a damaged journal", "disk journal", _damaged_journal),
    problem("a journal of a newer version", "versions journal", _newer_journal),
    problem("no model", "models usable", _no_model),
    problem("a damaged model", "models usable", _changed(_flip_bytes)),
    problem("a model of an older format", "models usable", _changed(_older_format)),
    problem("no version in use", "models usable", _changed(_no_current)),
    problem("a model of another machine", "models usable", _another_machine),
    problem("the network of a model is missing", "models usable", _no_encoder),
    problem(
        "a model of another rate", "models rate", _sound(lambda: machine_sound(6.0), rate_hz=8000)
    ),
    problem("another window than the model's", "models window", _window),
    problem("few open files", "load descriptors", _few_descriptors),
    problem("another version on the path", "versions installations", _other_program),
)
"""Problems of files; without a broker where none is started."""
