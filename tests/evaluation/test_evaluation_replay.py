"""A backtest has the pipeline, the alarm rule and the gaps of the daemon."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.alarm.logic import AlarmLogic, EvaluatedWindow
from asd_monitor.alarm.state import AlarmRule, TransitionKind
from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec
from asd_monitor.audio.files.file_source import FileSource
from asd_monitor.detector.detector import Detector
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.recording_scores import score_recording
from asd_monitor.evaluation.replay import Backtest, backtest
from asd_monitor.microphone.sample_counter import NO_SAMPLE_FAULTS
from asd_monitor.model_training.microphone_baseline import microphone_baseline
from asd_monitor.model_training.reference import read_reference
from asd_monitor.monitor import Monitor
from asd_monitor.pipeline import Pipeline, WindowExtractor
from asd_monitor.records import Thresholds, WhenQuiet, WindowScore
from tests.doubles.blocks import block_at
from tests.doubles.synthetic_sounds import machine_sound, write


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    path = write(tmp_path_factory.mktemp("n") / "a.wav", machine_sound(60.0))
    return read_reference([path]).fit().detector


def _rule(detector: Detector) -> AlarmRule:
    return AlarmRule(
        Thresholds(2.0, 2.5),
        detector.hop_s,
        tails=detector.tails,
        effect_bound=detector.effect_bound,
    )


def _run(path: Path, detector: Detector, rule: AlarmRule | None = None) -> Backtest:
    source = FileSource(DeviceSpec(DeviceKind.FILE, str(path)), speed=0, notice=lambda _: None)
    return asyncio.run(backtest(source, detector, rule or _rule(detector), path))


NORMAL = machine_sound(25.0, seed=3)
FAULTY = machine_sound(20.0, seed=4, fault=1.0)


def test_an_alarm_is_raised_soon_after_the_fault(detector: Detector, tmp_path: Path) -> None:
    sound = np.concatenate([NORMAL, FAULTY, NORMAL])
    result = _run(write(tmp_path / "a.wav", sound), detector)
    assert result.seconds == pytest.approx(70.0)
    [alarm] = result.alarms
    assert 25 < alarm.raised_s < 38
    assert alarm.cleared_s is None  # latched, and not acknowledged
    assert alarm.peak_alarm_score >= 2.5
    assert result.time_to_alarm_s == alarm.raised_s
    assert result.alarms_per_day == pytest.approx(86_400 / 70)
    states = [span.state for span in result.states]
    assert states[0] == "normal"
    assert result.states[0].from_s == 0
    assert "alarm" in states
    assert result.seconds_in("alarm") == pytest.approx(70 - alarm.raised_s, abs=0.01)
    assert sum(map(result.seconds_in, set(states))) == pytest.approx(70)


def test_an_alarm_that_is_not_latched_clears(detector: Detector, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.concatenate([NORMAL, FAULTY, NORMAL, NORMAL, FAULTY]))
    rule = replace(_rule(detector), latch=False)
    one, other = _run(path, detector, rule).alarms
    assert one.cleared_s is not None
    assert 45 < one.cleared_s < 95 < other.raised_s
    assert (one.number, other.number) == (1, 2)


def test_states_are_those_of_the_monitor(detector: Detector, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.concatenate([NORMAL, FAULTY]))
    sound = (np.concatenate([NORMAL, FAULTY]) * 32768).round().clip(-32768, 32767) / 32768
    monitor = Monitor(Pipeline(detector), _rule(detector), 16_000)
    changes = [
        (change.sample / 16_000, change.after)
        for start in range(0, len(sound), 7_001)  # other blocks than the file source's
        for reading in monitor.push(
            block_at(start, sound[start : start + 7_001].astype(np.float32))
        )
        for change in reading.transitions
        if change.kind is TransitionKind.STATE
    ]
    result = _run(path, detector)
    assert [(span.from_s, span.state) for span in result.states[1:]] == changes


def test_the_files_of_a_folder_are_separated_by_gaps(detector: Detector, tmp_path: Path) -> None:
    piece = FAULTY[: 16_000 * 6]
    for n in range(4):
        write(tmp_path / f"short/{n}.wav", piece)
    write(tmp_path / "long/all.wav", np.tile(piece, 4))
    short, long = _run(tmp_path / "short", detector), _run(tmp_path / "long", detector)
    assert short.seconds == pytest.approx(24.0, abs=0.01)
    alone = score_recording(detector, tmp_path / "short/0.wav")
    assert short.windows == 4 * len(alone.windows)  # none spans two files
    assert long.windows > short.windows
    assert len(long.alarms) == 1
    assert not short.alarms or short.alarms[0].raised_s > long.alarms[0].raised_s


def test_an_unreadable_file_is_skipped(detector: Detector, tmp_path: Path) -> None:
    write(tmp_path / "1.wav", NORMAL)
    (tmp_path / "2.wav").write_bytes(b"RIFF nothing")
    write(tmp_path / "3.wav", NORMAL)
    assert _run(tmp_path, detector).seconds == pytest.approx(50.0, abs=0.01)


def test_constant_samples_are_a_microphone_fault(detector: Detector, tmp_path: Path) -> None:
    sound = np.concatenate([NORMAL, np.zeros(16_000 * 5), NORMAL])
    result = _run(write(tmp_path / "a.wav", sound), detector)
    assert [span.state for span in result.microphone] == ["ok", "fault", "ok"]
    assert result.microphone[1].from_s == pytest.approx(27.0, abs=0.1)
    [(begin, end)] = result.no_signal_spans
    assert result.evaluated_s == pytest.approx(result.seconds - (end - begin))
    states = {span.state for span in result.states}
    assert sum(map(result.seconds_in, states)) == pytest.approx(result.evaluated_s)
    assert not result.alarms
    assert [span.state for span in result.states] == ["normal", "unavailable", "normal"]
    assert [span.from_s for span in result.states] == [span.from_s for span in result.microphone]
    assert result.seconds_in("unavailable") == 0


def test_a_gain_is_degraded_and_evaluated(detector: Detector, tmp_path: Path) -> None:
    windows = WindowExtractor(detector.front_end).push(block_at(0, NORMAL))
    baseline = microphone_baseline(detector, [windows], NO_SAMPLE_FAULTS)
    louder = np.concatenate([NORMAL, NORMAL * np.float32(0.25)])
    result = _run(write(tmp_path / "a.wav", louder), replace(detector, microphone=baseline))
    assert [span.state for span in result.microphone] == ["ok", "degraded"]
    assert result.no_signal_spans == ()
    assert result.evaluated_s == result.seconds


def test_too_low_a_rate_is_refused(detector: Detector, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(10.0, rate_hz=8_000), 8_000)
    with pytest.raises(UsageError, match="8000 Hz, while the model needs sound of 16000 Hz"):
        _run(path, detector)
    with pytest.raises(UsageError, match="8000 Hz, while the model needs sound of 16000 Hz"):
        score_recording(detector, path)


def test_scores_are_those_of_the_pipeline(detector: Detector, tmp_path: Path) -> None:
    sound = machine_sound(8.0, rate_hz=48_000)
    path = write(tmp_path / "a.wav", sound, 48_000, "FLOAT")
    recording = score_recording(detector, path)
    pipeline = Pipeline(detector)
    live = [
        window
        for start in range(0, 8 * 48_000, 4_800)
        for window in pipeline.push(block_at(start, sound[start : start + 4_800], 48_000))
    ]
    scored = recording.windows[: len(live)]
    assert [w.fused for w in scored] == pytest.approx([w.fused for w in live], abs=1e-4)
    assert [w.start for w in scored] == [w.start for w in live]
    assert recording.fused == pytest.approx(np.mean([w.fused for w in recording.windows]))
    assert recording.seconds == pytest.approx(8.0)


def test_a_recording_shorter_than_a_window_is_refused(detector: Detector, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(1.5))
    with pytest.raises(UsageError, match=r"as long as a window \(1\.98 s\)"):
        score_recording(detector, path)


@pytest.mark.parametrize(
    ("when_quiet", "state"),
    [(WhenQuiet.WARN, "warning"), (WhenQuiet.IDLE, "idle"), (WhenQuiet.ALARM, "alarm")],
)
def test_a_machine_that_is_switched_off(
    detector: Detector, tmp_path: Path, when_quiet: WhenQuiet, state: str
) -> None:
    """The training recordings contain no silence: only the rule says what it means."""
    rng = np.random.default_rng(7)
    hall = (0.05 * np.std(NORMAL) * rng.standard_normal(len(NORMAL) * 4)).astype(np.float32)
    path = write(tmp_path / "a.wav", np.concatenate([NORMAL, hall, NORMAL]))
    rule = AlarmRule(Thresholds(3.94, 5.42), detector.hop_s, when_quiet=when_quiet)
    result = _run(path, detector, rule)
    assert detector.idle_dbfs is None
    assert len(result.alarms) == (when_quiet is WhenQuiet.ALARM)
    assert state in [span.state for span in result.states]
    assert result.seconds_in(state) > 90
    if when_quiet is not WhenQuiet.ALARM:  # without the rule
        scores = [s.score for s in score_recording(detector, path).windows if s.quiet]
        assert np.median(scores) > 5.42
        assert result.states[-1].state == "normal"


def test_an_alarm_that_is_held_at_the_end_is_raised(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = AlarmLogic.push

    def push_suspected(logic: AlarmLogic, window: WindowScore, **_: bool) -> EvaluatedWindow:
        return push(logic, window, suspected=True)

    monkeypatch.setattr(AlarmLogic, "push", push_suspected)
    path = write(tmp_path / "a.wav", np.concatenate([NORMAL, FAULTY]))
    result = _run(path, detector)
    [alarm] = result.alarms
    assert 40 < alarm.raised_s <= result.seconds
    assert result.states[-1].state == "alarm"
