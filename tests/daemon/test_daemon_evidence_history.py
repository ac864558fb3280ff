"""The evidence of the longer time scales over restarts of the daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.alarm.running_means import MAX_BLOCKS, RESOLUTION
from asd_monitor.daemon import evaluator, evidence_history
from asd_monitor.daemon.evidence_history import FOLDER, EvidenceHistory
from asd_monitor.journal.requests import Request, Verb
from tests.doubles.level_detector import StubBundle
from tests.doubles.monitored_machine import MonitoredMachine
from tests.doubles.scripted_source import ScriptedSource
from tests.doubles.waiting import until

RATE_HZ = 16_000
NOW_S = 1.8e9
MODEL = "0f" * 32


def history(folder: Path) -> EvidenceHistory:
    return EvidenceHistory(folder, "fan")


def blocks(count: int, first: int = 0) -> list[BlockMean]:
    return [BlockMean(first + n * 10 * RATE_HZ, (n % 7 - 3) * RESOLUTION) for n in range(count)]


def save(folder: Path, saved: list[BlockMean], sample_0_s: float = NOW_S) -> None:
    history(folder).save(MODEL, saved, sample_0_s=sample_0_s, rate_hz=RATE_HZ)


def load(
    folder: Path, sample_0_s: float, model: str = MODEL, rate_hz: int = RATE_HZ
) -> list[BlockMean]:
    return history(folder).load(model, sample_0_s=sample_0_s, rate_hz=rate_hz)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(2**31), 2**31)), max_size=20),
    st.integers(10, 10**6),
)
def test_a_restart_ages_the_blocks_by_the_time_between(
    tmp_path: Path, values: list[tuple[int, int]], away_s: int
) -> None:
    saved, begin = [], 0
    for pause_ms, units in values:
        begin += pause_ms * (RATE_HZ // 1000)
        saved.append(BlockMean(begin, units * RESOLUTION))
    save(tmp_path, saved)
    later_s = begin / RATE_HZ + away_s
    found = load(tmp_path, NOW_S + later_s, rate_hz=8000)
    assert [each.mean for each in found] == [each.mean for each in saved]
    assert [each.begin for each in found] == pytest.approx(
        [each.begin / 2 - later_s * 8000 for each in saved], abs=8
    )


def test_a_day_of_blocks_is_small_and_private(tmp_path: Path) -> None:
    save(tmp_path, blocks(MAX_BLOCKS))
    [file] = (tmp_path / FOLDER).iterdir()
    assert file.stat().st_size < 100_000
    assert file.stat().st_mode & 0o077 == 0
    assert len(load(tmp_path, NOW_S + 86_500)) == MAX_BLOCKS


def test_nothing_is_loaded_before_anything_was_saved(tmp_path: Path) -> None:
    assert load(tmp_path, NOW_S) == []


def test_another_model_begins_anew(tmp_path: Path) -> None:
    save(tmp_path, blocks(10))
    assert load(tmp_path, NOW_S + 200, model="ab" * 32) == []


def test_after_the_clock_was_set_back_the_newest_block_has_just_ended(tmp_path: Path) -> None:
    save(tmp_path, blocks(10))
    found = load(tmp_path, NOW_S - 86_400 * 365)
    assert found[-1].begin == -10 * RATE_HZ
    assert found[0].begin == -100 * RATE_HZ


def flip(content: bytes) -> bytes:
    return content[:200] + bytes([content[200] ^ 1]) + content[201:]


@pytest.mark.parametrize(
    "damage",
    [flip, lambda content: content[:-20], lambda content: b"", lambda content: b"{}" * 10_000],
)
def test_a_damaged_file_is_ignored_with_a_log_line(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    save(tmp_path, blocks(300))
    file = tmp_path / FOLDER / "fan"
    file.write_bytes(damage(file.read_bytes()))
    with structlog.testing.capture_logs() as logs:
        assert load(tmp_path, NOW_S + 4000) == []
    assert [line["log_level"] for line in logs] == ["warning"]


def test_every_flipped_byte_and_every_cut_is_noticed(tmp_path: Path) -> None:
    save(tmp_path, blocks(20))
    path = tmp_path / FOLDER / "fan"
    content, intact = path.read_bytes(), load(tmp_path, NOW_S + 1)
    assert len(intact) == 20
    with structlog.testing.capture_logs():
        for position in range(len(content)):
            flipped = bytearray(content)
            flipped[position] ^= 1 << position % 8
            path.write_bytes(flipped)
            is_line_end = position == 64  # the only byte without meaning
            assert load(tmp_path, NOW_S + 1) == (intact if is_line_end else [])
            path.write_bytes(content[:position])
            assert load(tmp_path, NOW_S + 1) == []


def test_the_hash_of_another_file_is_refused(tmp_path: Path) -> None:
    save(tmp_path, blocks(300))
    file = tmp_path / FOLDER / "fan"
    earlier = file.read_bytes()
    save(tmp_path, blocks(301))
    file.write_bytes(earlier[:65] + file.read_bytes()[65:])
    assert load(tmp_path, NOW_S + 4000) == []


def test_a_file_that_cannot_be_written_is_logged(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    with structlog.testing.capture_logs() as logs:
        save(tmp_path, blocks(10))
    assert [line["log_level"] for line in logs] == ["warning"]


async def test_the_evidence_survives_a_restart(
    make: Callable[..., MonitoredMachine], tmp_path: Path
) -> None:
    machine = make()
    machine.models.bundles["fan"] = StubBundle(sha256=MODEL)
    counts = []
    for _ in range(2):
        machine.start(ScriptedSource())
        machine.source.open()
        await machine.play(45, 0.05)
        await machine.stop()
        counts.append(len(load(tmp_path, time.time())))
    assert counts == [4, 8]


async def test_the_evidence_of_another_model_is_not_taken_up(
    make: Callable[..., MonitoredMachine], tmp_path: Path
) -> None:
    machine = make()
    for model in ("ab" * 32, MODEL):
        machine.models.bundles["fan"] = StubBundle(sha256=model)
        machine.start(ScriptedSource())
        machine.source.open()
        await machine.play(45, 0.05)
        await machine.stop()
    assert len(load(tmp_path, time.time())) == 4


async def work_at_machine(machine: MonitoredMachine) -> None:
    """Take the machine out of service, and play the sound of the work."""
    machine.models.bundles["fan"] = StubBundle(sha256=MODEL)
    machine.start(ScriptedSource())
    machine.source.open()
    await machine.play(45, 0.05)
    await machine.change_service(Verb.OUT_OF_SERVICE)
    await machine.play(60, 0.6)


@pytest.mark.parametrize("is_stopped", [True, False])
async def test_the_sound_of_the_work_is_not_taken_up_where_the_return_comes_before_the_capture(
    make: Callable[..., MonitoredMachine], tmp_path: Path, is_stopped: bool
) -> None:
    machine = make()
    await work_at_machine(machine)
    await machine.stop()
    if is_stopped:
        request = Request(Verb.IN_SERVICE, "fan", "ann", datetime.now(UTC))
        machine.journal.requests.add(request)
    machine.start(ScriptedSource())
    if not is_stopped:  # the microphone is unplugged
        await until(lambda: machine.broker.state("fan"))
        await machine.change_service(Verb.IN_SERVICE)
    await until(lambda: machine.broker.alarm("fan")["out_of_service"] is False)
    machine.source.open()
    await machine.play(20, 0.05)
    await machine.stop()
    means = [each.mean for each in load(tmp_path, time.time())]
    assert len(means) > 4  # those from before, and after
    assert max(means) == 0.0


async def test_what_is_saved_when_a_run_is_killed_after_the_return_is_without_the_work(
    make: Callable[..., MonitoredMachine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make()
    monkeypatch.setattr(evaluator, "_SAVE_INTERVAL_S", 0.0)
    await work_at_machine(machine)
    monkeypatch.setattr(evaluator, "_SAVE_INTERVAL_S", 600.0)
    await machine.change_service(Verb.IN_SERVICE)
    means = [each.mean for each in load(tmp_path, time.time())]
    assert means == [0.0] * 4


async def test_the_status_of_the_box_has_the_level_of_an_hour_and_a_day(
    make: Callable[..., MonitoredMachine], tmp_path: Path
) -> None:
    machine = make()
    machine.models.bundles["fan"] = StubBundle(sha256=MODEL)
    hour = [BlockMean(n * 10 * RATE_HZ, 0.25) for n in range(360)]
    save(tmp_path, hour, time.time() - 3600)
    machine.start()
    machine.source.open()
    await machine.play(10, 0.05)
    an_hour, a_day = machine.session.status.score_levels
    assert (an_hour.time_scale_s, an_hour.mean) == (3600.0, 0.25)
    assert an_hour.warning < an_hour.alarm
    assert (a_day.time_scale_s, a_day.mean) == (86400.0, None)


def test_a_disk_that_does_not_answer_does_not_hold_up_the_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(evidence_history, "_ANSWER_S", 0.1)
    monkeypatch.setattr(evidence_history, "sync_folder", lambda _: answers.wait())
    kept = history(tmp_path)
    begun_s = time.monotonic()
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            kept.save(MODEL, blocks(3), sample_0_s=NOW_S, rate_hz=RATE_HZ)
    assert time.monotonic() - begun_s < 2
    assert [entry["hint"] for entry in logs] == ["check the disk of the state folder"]
    answers.set()
    while kept._disk.is_stalled:
        time.sleep(0.01)
    kept.save(MODEL, blocks(4), sample_0_s=NOW_S, rate_hz=RATE_HZ)
    assert len(load(tmp_path, NOW_S + 100)) == 4
