"""Marked sound in a refit: it is normal then, a fault is not, and the bundle keeps it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.alarm.budget import alarm_rule
from asd_monitor.commissioning.blocks import Layout, LiveBlock
from asd_monitor.config.machine_settings import AlarmSettings
from asd_monitor.detector.detector import Detector
from asd_monitor.evidence.alarm_sound import AlarmSound, kept_alarms
from asd_monitor.model_store.bundle import load_bundle, save_bundle, save_refit
from asd_monitor.model_store.marked_sound import (
    MarkedPiece,
    load_marked,
    marked_content,
    marked_spans,
)
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.model_training.marked_pieces import MAX_PIECES, marked_pieces
from asd_monitor.model_training.model_replay import alarms_in_blocks, replay_alarm
from asd_monitor.model_training.refit import FirstModelReference, RefitResult, refit
from asd_monitor.records import NormalSpan, Samples, Thresholds
from tests.doubles.bundled_detector import bundle_detector, bundle_windows
from tests.doubles.changed_machine import RATE_HZ, changed_sound, faulty_sound
from tests.doubles.kept_alarm_sound import keep_alarm_sound
from tests.doubles.synthetic_sounds import machine_sound

BEGIN = datetime(2026, 11, 23, 4, 45, tzinfo=UTC)
HOUR = timedelta(hours=1)


def span(begin: datetime = BEGIN, seconds: float = 60.0, id_: str = "s1") -> NormalSpan:
    end = begin + timedelta(seconds=seconds)
    return NormalSpan(id_, "fan01", begin, end, "ann", "a new filter", BEGIN, "fan01-1")


def kept(state: Path, sound: Samples, begin: datetime = BEGIN, id_: str = "fan01-1") -> AlarmSound:
    keep_alarm_sound(state, "fan01", id_, begin, sound=sound, rate_hz=RATE_HZ)
    return next(each for each in kept_alarms(state, "fan01").whole_sounds if each.alarm_id == id_)


def days_of_normal_sound(detector: Detector, state: Path) -> tuple[list[LiveBlock], Layout]:
    """Return live blocks of three days before the mark."""
    sound = kept(state, machine_sound(120.0, seed=8), BEGIN - 100 * HOUR, "fan01-0")
    whole = span(sound.begin, 120.0)
    pieces = marked_pieces(whole, detector, (), Layout(()), [sound])
    layout = Layout.of(pieces[0].windows[0].features)
    return [
        LiveBlock(
            (BEGIN - (72 - 2 * number) * HOUR).timestamp(),
            number * 7200.0,
            alarm_active=False,
            level_dbfs=-30.0,
            starts_s=np.array([w.start / RATE_HZ for w in piece.windows], np.float32),
            levels_dbfs=np.array([w.rms_dbfs for w in piece.windows], np.float32),
            vectors=Layout.pack([layout.join(w.features) for w in piece.windows]),
        )
        for number, piece in enumerate(pieces * 3)
    ], layout


@pytest.fixture(scope="module")
def refits(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[RefitResult, RefitResult]:
    """A refit to three days of normal sound, and one with marked sound too."""
    state = tmp_path_factory.mktemp("state")
    detector = bundle_detector()
    first = FirstModelReference(detector, StoredReference.of([bundle_windows()[::4]], [0.0]))
    blocks, layout = days_of_normal_sound(detector, state)
    marked = marked_pieces(span(), detector, blocks, layout, [kept(state, changed_sound())])
    assert len(marked) == 4
    return refit(first, blocks, layout), refit(first, blocks, layout, marked=marked)


def replayed(result: RefitResult, sound: Samples) -> tuple[float, bool]:
    rule = alarm_rule(AlarmSettings().criteria, result.detector)
    found = replay_alarm(result.detector, rule, sound, RATE_HZ)
    return found.highest, found.rises


def test_marked_sound_is_normal_and_a_fault_is_not(
    refits: tuple[RefitResult, RefitResult],
) -> None:
    without, with_marks = refits
    assert with_marks.admitted == without.admitted + 4
    again = changed_sound(seed=99)
    assert replayed(without, again)[0] > 3.0
    assert replayed(with_marks, again)[0] < 1.0
    fault = faulty_sound(seed=77)
    assert replayed(without, fault)[1]
    assert replayed(with_marks, fault)[0] > 3.0


def test_alarms_are_counted_in_blocks(refits: tuple[RefitResult, RefitResult]) -> None:
    without, with_marks = refits
    rule = alarm_rule(AlarmSettings().criteria, without.detector)
    learned = [piece.windows for piece in without.learned]
    assert alarms_in_blocks(without.detector, rule, learned) == 0
    rule = replace(rule, thresholds=Thresholds(1.0, 2.5))
    marked = [piece.windows for piece in with_marks.learned[-4:]]
    assert alarms_in_blocks(without.detector, rule, marked) >= 3
    assert alarms_in_blocks(with_marks.detector, rule, marked) == 0


def test_the_sound_of_a_block_is_taken_once_and_what_a_bundle_has_is_kept(
    tmp_path: Path,
) -> None:
    detector = bundle_detector()
    sound = kept(tmp_path, changed_sound(60.0))
    pieces = marked_pieces(span(), detector, (), Layout(()), [sound])
    times_s = [piece.time_s - BEGIN.timestamp() for piece in pieces]
    assert np.allclose(times_s, np.arange(6) * 10.0, atol=1.5)
    assert all(len(piece.windows) in (4, 5) for piece in pieces)
    assert all(one.end <= other.start for piece in pieces for one, other in zip(
        piece.windows, piece.windows[1:], strict=False))  # fmt: skip
    earlier = [replace(piece, time_s=piece.time_s + 0.2) for piece in pieces]
    far = [replace(pieces[0], time_s=pieces[0].time_s + 25 * 3600)]
    again = marked_pieces(span(), detector, (), Layout(()), [sound], earlier=[*earlier, *far])
    assert [piece.time_s for piece in again] == [piece.time_s for piece in [*pieces, *far]]
    part = marked_pieces(
        span(BEGIN + timedelta(seconds=30), 10.0), detector, (), Layout(()), [sound]
    )
    assert len(part) == 1
    many = [replace(pieces[0], time_s=60.0 * number) for number in range(200)]
    chosen = marked_pieces(span(), detector, (), Layout(()), (), earlier=many)
    assert len(chosen) == MAX_PIECES
    assert (chosen[0].time_s, chosen[-1].time_s) == (0.0, 199 * 60.0)


def test_a_bundle_holds_the_marked_sound(tmp_path: Path) -> None:
    state, models = tmp_path / "state", tmp_path / "models"
    detector = bundle_detector()
    spans = [span(), span(BEGIN + 30 * HOUR, id_="s2"), span(BEGIN + 2 * HOUR, id_="nothing")]
    sounds = [kept(state, changed_sound()), kept(state, changed_sound(), spans[1].begin, "fan01-2")]
    pieces: list[MarkedPiece] = []
    for each in spans:
        pieces += marked_pieces(each, detector, (), Layout(()), sounds)
    entries, content = marked_content(spans, pieces)
    save_bundle(models, "fan01", detector, {"marked": entries}, {"marked.npz": ""})
    version, _ = save_refit(
        models,
        load_bundle(models, "fan01"),
        detector,
        {"marked": entries},
        candidate=True,
        files={"marked.npz": content},
    )
    bundle = load_bundle(models, "fan01", version)
    assert marked_spans(bundle) == spans[:2]
    found = load_marked(models, bundle)
    assert [piece.span_id for piece in found] == [piece.span_id for piece in pieces]
    for one, other in zip(found, pieces, strict=True):
        assert one.time_s == pytest.approx(other.time_s, abs=0.5)
        assert len(one.windows) == len(other.windows)
        spectrum = other.windows[0].features["spectrum"]
        assert np.allclose(one.windows[0].features["spectrum"], spectrum, atol=0.02)
