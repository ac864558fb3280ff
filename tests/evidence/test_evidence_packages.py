"""Packages on disk: complete or absent, for their owner only, checked when they are read."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_monitor import private_files
from asd_monitor.evidence import package_files
from asd_monitor.evidence.building import alarm_picture, content_of
from asd_monitor.evidence.contents import PackageContent
from asd_monitor.evidence.package_files import (
    MAX_IMAGE_BYTES,
    PackageError,
    delete_package,
    newest_image,
    read_package,
    remove_unfinished,
    stored_packages,
    write_package,
)
from asd_monitor.evidence.package_names import IMAGE, PAGE, SIDECAR, SOUND
from asd_monitor.evidence.package_paths import package_folder
from asd_monitor.evidence.sound_span import LOWPASS_RATE_HZ, SoundContent
from tests.doubles.captured_alarm import FIRST, RATE_HZ, captured_alarm

PAGE_TEXT = "<!doctype html><p>page</p>"
WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from asd_monitor.evidence.building import content_of
from asd_monitor.evidence.package_files import write_package
from tests.doubles.captured_alarm import captured_alarm
content = content_of(captured_alarm(), None)
for number in range(10_000):
    facts = replace(content.facts, id=f"fan-{number:05}")
    write_package(Path(sys.argv[1]), replace(content, facts=facts), "x" * 200_000)
    print(number, flush=True)
"""


def content_as(content: SoundContent) -> PackageContent:
    captured = captured_alarm(content=content)
    return content_of(captured, alarm_picture(captured))


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    content = content_as(SoundContent.FULL)
    size = write_package(tmp_path, content, PAGE_TEXT)
    folder = package_folder(tmp_path, "fan", content.facts.id)
    assert sorted(each.name for each in folder.iterdir()) == sorted((SIDECAR, SOUND, PAGE))
    assert size >= sum(each.stat().st_size for each in folder.iterdir())
    package = read_package(folder)
    assert package.alarm["id"] == content.facts.id
    assert package.alarm["raised"] == "2026-11-23T04:45:00.512Z"
    sound = package.document["sound"]
    assert (sound["file"], sound["rate_hz"], sound["first_sample"]) == (SOUND, RATE_HZ, FIRST)
    assert sound["begin"] == "2026-11-23T04:45:00.512Z"
    read = package.read_sound()
    assert read is not None
    assert content.sound is not None
    np.testing.assert_allclose(read[0], content.sound.samples, atol=1 / 32768)
    (finding,) = package.document["findings"]
    assert (finding["kind"], finding["located"]) == ("tone", True)
    assert package.document["scores"]["by_time_scale_s"]["30"] == [None] * 60
    (stored,) = stored_packages(tmp_path)
    assert (stored.machine, stored.alarm_id) == ("fan", content.facts.id)


def test_the_image_of_the_newest_alarm_is_found(tmp_path: Path) -> None:
    assert newest_image(tmp_path, "fan") is None
    content = content_as(SoundContent.FULL)
    for number, image in enumerate((b"first", None, b"third", b"x" * (MAX_IMAGE_BYTES + 1))):
        facts = replace(content.facts, id=f"fan-{number}")
        write_package(tmp_path, replace(content, facts=facts), PAGE_TEXT, image)
        assert newest_image(tmp_path, "fan") == (image if number < 3 else None)
    assert newest_image(tmp_path, "pump") is None
    assert IMAGE in read_package(package_folder(tmp_path, "fan", "fan-0")).document["files"]


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_package(tmp_path, content_as(SoundContent.FULL), PAGE_TEXT)
    finally:
        os.umask(before)
    for path in (tmp_path / "evidence").rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_lowpass_stores_what_is_below_500_hz(tmp_path: Path) -> None:
    content = content_as(SoundContent.LOWPASS)
    write_package(tmp_path, content, PAGE_TEXT)
    package = read_package(package_folder(tmp_path, "fan", content.facts.id))
    read = package.read_sound()
    assert read is not None
    samples, rate_hz = read
    assert rate_hz == LOWPASS_RATE_HZ == package.document["sound"]["rate_hz"]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    above = spectrum[hz > 560].mean() / spectrum[hz < 450].mean()
    assert 10 * np.log10(above) < -55.0  # the quantisation of 16 bits


def test_none_stores_no_sound(tmp_path: Path) -> None:
    content = content_as(SoundContent.NONE)
    write_package(tmp_path, content, PAGE_TEXT)
    folder = package_folder(tmp_path, "fan", content.facts.id)
    assert not (folder / SOUND).exists()
    package = read_package(folder)
    assert (package.document["sound"], package.read_sound()) == (None, None)
    assert package.document["findings"]


@pytest.mark.parametrize("damage", ["changed", "cut", "missing", "format"])
def test_a_damaged_package_is_refused(tmp_path: Path, damage: str) -> None:
    content = content_as(SoundContent.NONE)
    write_package(tmp_path, content, PAGE_TEXT)
    folder = package_folder(tmp_path, "fan", content.facts.id)
    sidecar = folder / SIDECAR
    text = sidecar.read_text()
    if damage == "missing":
        sidecar.unlink()
    elif damage == "format":
        sidecar.write_text(json.dumps({"schema": "asd.evidence/0"}))
    else:
        sidecar.write_text(text.replace("Tone", "Bone") if damage == "changed" else text[:-40])
    with pytest.raises(PackageError, match="was deleted" if damage == "missing" else "delete"):
        read_package(folder)


def test_damaged_sound_is_refused(tmp_path: Path) -> None:
    content = content_as(SoundContent.FULL)
    write_package(tmp_path, content, PAGE_TEXT)
    package = read_package(package_folder(tmp_path, "fan", content.facts.id))
    path = package.sound_path
    assert path is not None
    soundfile.write(path, np.zeros(100, np.float32), RATE_HZ)
    with pytest.raises(PackageError, match="is not the sound"):
        package.read_sound()
    path.unlink()
    with pytest.raises(PackageError, match="cannot be read"):
        package.read_sound()


@pytest.mark.parametrize(
    ("machine", "alarm"), [("..", "a"), ("fan", "../a"), ("fan", ".a"), ("", "a")]
)
def test_ids_that_leave_the_folder_are_refused(tmp_path: Path, machine: str, alarm: str) -> None:
    with pytest.raises(ValueError, match="no package of"):
        package_folder(tmp_path, machine, alarm)


def test_a_package_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    content = content_as(SoundContent.FULL)
    (tmp_path / "evidence").write_text("a file")
    with pytest.raises(OSError, match="evidence"):
        write_package(tmp_path, content, PAGE_TEXT)
    (tmp_path / "evidence").unlink()
    write_package(tmp_path, content, PAGE_TEXT)
    with pytest.raises(OSError, match="not empty"):  # never changed
        write_package(tmp_path, content, PAGE_TEXT)
    assert [each.name for each in (tmp_path / "evidence/fan").iterdir()] == [content.facts.id]


def test_a_deleted_package_is_gone_with_its_empty_folder(tmp_path: Path) -> None:
    content = content_as(SoundContent.NONE)
    other = replace(content, facts=replace(content.facts, id="fan-2"))
    write_package(tmp_path, content, PAGE_TEXT)
    write_package(tmp_path, other, PAGE_TEXT)
    first, second = stored_packages(tmp_path)
    delete_package(tmp_path, first)
    assert stored_packages(tmp_path) == [second]
    delete_package(tmp_path, second)
    assert not (tmp_path / "evidence/fan").exists()
    with pytest.raises(FileNotFoundError):
        delete_package(tmp_path, second)


def test_packages_of_a_killed_writer_are_complete_or_absent(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    for kill_after in (3, 5, 8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            cwd=root,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(root)},
        ) as writer:
            assert writer.stdout is not None
            while int(writer.stdout.readline()) < kill_after:
                pass
            time.sleep(0.001 * kill_after)
            writer.send_signal(signal.SIGKILL)
        packages = stored_packages(tmp_path)
        assert len(packages) > kill_after
        for each in packages:
            assert read_package(package_folder(tmp_path, "fan", each.alarm_id)).read_sound()
        remove_unfinished(tmp_path)
        names = {each.name for each in (tmp_path / "evidence/fan").iterdir()}
        assert names == {each.alarm_id for each in packages}
        for each in packages:
            delete_package(tmp_path, each)


@pytest.mark.parametrize("name", [PAGE, SIDECAR])
def test_a_disk_that_becomes_full_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write = private_files.write_private_file

    def write_if_room(path: Path, data: bytes) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, "no space left on device")
        write(path, data)

    monkeypatch.setattr(package_files, "write_private_file", write_if_room)
    with pytest.raises(OSError, match="no space"):
        write_package(tmp_path, content_as(SoundContent.FULL), PAGE_TEXT)
    assert list((tmp_path / "evidence/fan").iterdir()) == []
