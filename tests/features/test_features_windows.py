"""Windows: what each holds, by formulas of their own, however the sound comes."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asd_monitor.batching import result_or_raise
from asd_monitor.dsp.frames import PowerSpectra
from asd_monitor.dsp.front_end import MIN_WINDOW_S, FrontEnd, front_end_for
from asd_monitor.dsp.mel import mel_filters
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.features.mel_spectrogram import LOG_FLOOR
from asd_monitor.features.window_statistics import LEAST_MODULATION
from asd_monitor.features.windows import Window, WindowStream, extract_pending
from tests.doubles.synthetic_networks import front_end_encoder
from tests.doubles.synthetic_sounds import machine_sound

Floats = npt.NDArray[np.float64]
NEAR = 1e-4


def made(sound: np.ndarray, front_end: FrontEnd, cuts: list[int] | None = None) -> list[Window]:
    stream = WindowStream(front_end)
    pieces = np.split(sound, sorted(min(cut, len(sound)) for cut in cuts or []))
    return [window for piece in pieces for window in stream.push(piece)]


def near(found: np.ndarray, expected: np.ndarray, within: float) -> bool:
    """As `pytest.approx`, which takes its time for thousands of vectors."""
    return found.shape == expected.shape and float(np.abs(found - expected).max()) <= within


def same(one: Window, other: Window, within: float = NEAR) -> None:
    assert (one.start, one.end) == (other.start, other.end)
    assert one.features.keys() == other.features.keys()
    for name, vector in one.features.items():
        assert near(vector, other.features[name], within), name


class Whole:
    """A whole recording at once, in double precision, window by window."""

    def __init__(self, sound: np.ndarray, front_end: FrontEnd) -> None:
        self.front_end = front_end
        frame, hop = front_end.frame, front_end.frame_hop
        starts = np.arange(0, len(sound) - frame + 1, hop)
        hann = np.hanning(frame + 1)[:-1]
        frames = np.stack([sound[k : k + frame] for k in starts]).astype(np.float64)
        self.power = np.abs(np.fft.rfft(frames * hann)) ** 2
        self.energies = self.power @ mel_filters(front_end.rate_hz, frame, front_end.mel_bands)
        self.log_mel = np.log10(np.maximum(self.energies, LOG_FLOOR))
        self.envelopes = (self.power @ mel_filters(front_end.rate_hz, frame, 32)) ** 0.15
        self.sound = sound.astype(np.float64)

    def features(self, number: int) -> dict[str, Floats]:
        front_end = self.front_end
        first = number * front_end.hop_frames
        rows = slice(first, first + front_end.window_frames)
        log_mel, envelopes = self.log_mel[rows], self.envelopes[rows]
        start = number * front_end.hop
        within = self.sound[start : start + front_end.window]
        return {
            "level": np.array([10 * np.log10(np.mean(within**2) + 1e-12)]),
            "spectrum": log_mel.mean(0),
            "peaks": log_mel.max(0),
            "spread": np.log(log_mel.std(0) + 1e-3),
            "change": np.abs(np.diff(log_mel, axis=0)).mean(0),
            "texture": texture(envelopes),
            "rhythm": rhythm(envelopes, front_end),
        }


def texture(envelopes: Floats) -> Floats:
    mean, deviation = envelopes.mean(0), envelopes.std(0) + 1e-6
    off = envelopes - mean
    kurtosis = np.maximum((off**4).mean(0) / deviation**4, 1.0)
    skewness = (off**3).mean(0) / deviation**3
    return np.concatenate([np.log(mean), np.log(deviation / mean), np.log(kurtosis), skewness])


def rhythm(envelopes: Floats, front_end: FrontEnd) -> Floats:
    envelopes = envelopes[:, ::2] + envelopes[:, 1::2]
    frames = len(envelopes)
    rate_hz = front_end.rate_hz / front_end.frame_hop
    mean = envelopes.mean(0)
    hann = np.hanning(frames + 1)[:-1, None]
    power = np.abs(np.fft.rfft((envelopes - mean) * hann, axis=0)) ** 2
    at_hz = np.fft.rfftfreq(frames, 1 / rate_hz)
    rows = []
    for low, high in pairwise(np.geomspace(0.8, 0.96 * rate_hz / 2, 8)):
        inside = (at_hz >= low) & (at_hz < high)
        if not inside.any():
            inside[np.argmin(np.abs(at_hz - (low + high) / 2))] = True
        rows.append(power[inside].sum(0))
    return np.log(np.array(rows) / (mean**2 * frames) + LEAST_MODULATION).ravel()


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 80_000), max_size=12),
    seed=st.integers(0, 3),
    rate_hz=st.sampled_from([16_000, 8_000, 11_025]),
    window_s=st.floats(MIN_WINDOW_S, 2.1),
    overlap=st.floats(0.0, 0.97),
)
@example(cuts=[1], seed=0, rate_hz=16_000, window_s=1.984, overlap=0.0)  # a gap between windows
@example(cuts=[5_000] * 3, seed=1, rate_hz=16_000, window_s=1.984, overlap=0.742)
def test_a_stream_has_the_windows_of_the_whole_recording(
    cuts: list[int], seed: int, rate_hz: int, window_s: float, overlap: float
) -> None:
    front_end = front_end_for(rate_hz, window_s, window_s * (1 - overlap))
    sound = machine_sound(4.5, rate_hz=rate_hz, seed=seed)
    whole, windows = Whole(sound, front_end), made(sound, front_end, cuts)
    assert len(windows) == (len(sound) - front_end.window) // front_end.hop + 1
    for number, window in enumerate(windows):
        start = number * front_end.hop
        assert (window.start, window.end) == (start, start + front_end.window)
        for name, expected in whole.features(number).items():
            # logarithms of next to nothing show how float32 rounds
            within = 1e-3 if name in {"texture", "rhythm"} else NEAR
            assert near(window.features[name], expected, within), name
    for one, other in zip(windows, made(sound, front_end), strict=True):
        same(one, other)


@settings(max_examples=25, deadline=None)
@given(
    begins=st.lists(st.integers(0, 30_000), min_size=2, max_size=6),
    block=st.integers(500, 20_000),
    overlap=st.sampled_from([0.0, 0.5, 0.742, 0.95]),
)
def test_streams_made_together_are_as_if_alone(
    begins: list[int], block: int, overlap: float
) -> None:
    front_end = front_end_for(16_000, 1.2, 1.2 * (1 - overlap))
    encoder = front_end_encoder()
    sound = machine_sound(4.0)
    sounds = [sound[begin:] for begin in begins]
    streams = [WindowStream(front_end, [encoder]) for _ in sounds]
    run_batch: list[list[Window]] = [[] for _ in sounds]
    for first in range(0, len(sound), block):
        for stream, own in zip(streams, sounds, strict=True):
            stream.append(own[first : first + block])
        for windows, new in zip(run_batch, extract_pending(streams), strict=True):
            windows.extend(result_or_raise(new))
    for own, windows in zip(sounds, run_batch, strict=True):
        alone = WindowStream(front_end, [encoder]).push(own)
        assert len(windows) == len(alone)
        for one, other in zip(windows, alone, strict=True):
            same(one, other)


@settings(max_examples=25, deadline=None)
@given(
    every=st.lists(st.integers(1, 4), min_size=2, max_size=8),
    overlap=st.sampled_from([0.0, 0.5, 0.742, 0.95]),
)
def test_a_widened_stream_passes_windows_over_and_changes_none(
    every: list[int], overlap: float
) -> None:
    front_end = front_end_for(16_000, 1.2, 1.2 * (1 - overlap))
    sound = machine_sound(6.0)
    plain = {window.start: window for window in made(sound, front_end)}
    stream = WindowStream(front_end)
    found: list[Window] = []
    for number, piece in enumerate(np.array_split(sound, len(every) * 3)):
        stream.set_stride(every[number % len(every)])
        found += stream.push(piece)
    assert found[0].start == 0
    for window in found:
        same(window, plain[window.start])
    for before, window in pairwise(found):
        assert window.start - before.start == window.hops * front_end.hop


def test_one_call_of_the_network_serves_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    front_end, encoder = front_end_for(16_000), front_end_encoder()
    streams = [WindowStream(front_end, [encoder]) for _ in range(4)]
    calls: list[int] = []
    plain = type(encoder.network).run

    def counted(self: object, layout: object, outputs: object, steps: np.ndarray) -> object:
        calls.append(len(steps))
        return plain(self, layout, outputs, steps)  # type: ignore[arg-type]

    monkeypatch.setattr(type(encoder.network), "run", counted)
    for stream in streams:
        stream.append(machine_sound(2.0))
    assert [len(result_or_raise(windows)) for windows in extract_pending(streams)] == [1] * 4
    assert calls == [4]


def test_what_fails_can_be_tried_again_without_losing_a_window() -> None:
    front_end = front_end_for(16_000, 1.0, 0.25)
    sound = machine_sound(3.0)
    stream = WindowStream(front_end)
    plain = stream.analysis.next
    stream.append(sound)

    def failing(*_: object) -> None:
        raise RuntimeError("as a network would")

    stream.analysis.next = failing  # type: ignore[method-assign, assignment]
    try:
        assert isinstance(extract_pending([stream])[0], RuntimeError)
    finally:
        stream.analysis.next = plain  # type: ignore[method-assign]
    windows = result_or_raise(extract_pending([stream])[0])
    assert [window.start for window in windows][-1] == (
        (len(sound) - front_end.window) // front_end.hop * front_end.hop
    )


def test_nothing_is_computed_before_a_window_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    front_end = front_end_for(16_000)
    stream = WindowStream(front_end)
    monkeypatch.setattr(np.fft, "rfft", lambda *_: pytest.fail("a transform"))
    for _ in range(19):
        assert stream.push(np.zeros(1600, np.float32)) == []


@pytest.mark.parametrize("sound", [np.zeros(20_000), np.full(20_000, 0.5)])
def test_features_of_silence_are_numbers(sound: np.ndarray) -> None:
    front_end = front_end_for(16_000, MIN_WINDOW_S, 0.1)
    for window in made(sound.astype(np.float32), front_end):
        for name, vector in window.features.items():
            assert np.isfinite(vector).all(), name


def test_log_mel_is_that_of_single_frames() -> None:
    sound = machine_sound(4.0)
    power = PowerSpectra(1024, 512).push(sound)
    log_mel = np.log10(np.maximum(power @ mel_filters(16_000, 1024, 128), LOG_FLOOR))
    windows = made(sound, front_end_for(16_000))
    assert windows[1].features["spectrum"] == pytest.approx(log_mel[16 : 16 + 61].mean(0), abs=1e-5)


def test_an_analysis_is_shared_by_streams_that_are_heard_alike() -> None:
    front_end = front_end_for(16_000)
    encoder = front_end_encoder()
    again = Encoder.from_bytes(encoder.onnx, encoder.card)
    streams = [WindowStream(front_end, [each]) for each in (encoder, again)]
    assert streams[0].analysis is streams[1].analysis
    assert WindowStream(front_end).analysis is not streams[0].analysis
