"""Windows of streams: their features are those of the plain definitions, however computed."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from asd_monitor.batching import result_or_raise
from asd_monitor.dsp.front_end import MIN_WINDOW_S, FrontEnd, front_end_for
from asd_monitor.dsp.spectrogram import log_mel_spectrogram
from asd_monitor.dsp.window_features import FEATURES, NAMES, WindowSignal
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import InputLayout, Network
from asd_monitor.features.analysis import Analysis
from asd_monitor.features.windows import Window, WindowStream, extract_pending
from tests.doubles.synthetic_networks import front_end_encoder
from tests.doubles.synthetic_sounds import machine_sound

TOLERANCE = 1e-4
# logarithms of quantities close to zero show the rounding errors of float32
TOLERANCES = {"tone": 1e-3, "texture": 1e-3, "rhythm": 1e-3, "pattern": 1e-3}
MAX_COMPARED = 12  # windows of an example; the plain definitions are slow


def extract(sound: np.ndarray, front_end: FrontEnd, cuts: list[int] | None = None) -> list[Window]:
    stream = WindowStream(front_end)
    blocks = np.split(sound, sorted(min(cut, len(sound)) for cut in cuts or []))
    return [window for block in blocks for window in stream.push(block)]


def is_near(found: np.ndarray, expected: np.ndarray, within: float) -> bool:
    """Compare as `pytest.approx`, which is slow for thousands of vectors."""
    return found.shape == expected.shape and float(np.abs(found - expected).max()) <= within


def assert_equal(one: Window, other: Window) -> None:
    assert (one.start, one.end) == (other.start, other.end)
    assert one.features.keys() == other.features.keys()
    for name, vector in one.features.items():
        assert is_near(vector, other.features[name], TOLERANCE), name


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 80_000), max_size=12),
    seed=st.integers(0, 3),
    rate_hz=st.sampled_from([16_000, 8_000, 11_025]) | st.integers(4_000, 16_000),
    window_s=st.floats(MIN_WINDOW_S, 2.1),
    overlap=st.floats(0.0, 0.97),
)
@example(cuts=[1], seed=0, rate_hz=16_000, window_s=1.984, overlap=0.0)  # a gap between windows
@example(cuts=[5_000] * 3, seed=1, rate_hz=16_000, window_s=1.984, overlap=0.742)
def test_features_are_those_of_the_definitions(
    cuts: list[int], seed: int, rate_hz: int, window_s: float, overlap: float
) -> None:
    front_end = front_end_for(rate_hz, window_s, window_s * (1 - overlap))
    sound = machine_sound(4.5, rate_hz=rate_hz, seed=seed)
    windows = extract(sound, front_end, cuts)
    assert len(windows) == (len(sound) - front_end.window) // front_end.hop + 1
    for number, window in enumerate(windows):
        start = number * front_end.hop
        assert (window.start, window.end) == (start, start + front_end.window)
        assert tuple(window.features) == NAMES
    for window in windows[:: -(-len(windows) // MAX_COMPARED)]:
        samples = sound[window.start : window.end].astype(np.float64)
        signal = WindowSignal(samples, front_end, window.start)
        for name, feature in FEATURES.items():
            within = TOLERANCES.get(name, TOLERANCE)
            assert window.features[name].dtype == np.float32
            assert is_near(window.features[name], feature(signal), within), name
    for one, other in zip(windows, extract(sound, front_end), strict=True):
        assert_equal(one, other)


@settings(max_examples=25, deadline=None)
@given(
    begins=st.lists(st.integers(0, 30_000), min_size=2, max_size=6),
    block=st.integers(500, 20_000),
    overlap=st.sampled_from([0.0, 0.5, 0.742, 0.95]),
)
def test_streams_computed_together_are_as_if_alone(
    begins: list[int], block: int, overlap: float
) -> None:
    front_end = front_end_for(16_000, 1.2, 1.2 * (1 - overlap))
    encoder = front_end_encoder()
    sound = machine_sound(4.0)
    sounds = [sound[begin:] for begin in begins]
    streams = [WindowStream(front_end, [encoder]) for _ in sounds]
    together: list[list[Window]] = [[] for _ in sounds]
    for first in range(0, len(sound), block):
        for stream, own in zip(streams, sounds, strict=True):
            stream.append(own[first : first + block])
        for windows, new in zip(together, extract_pending(streams), strict=True):
            windows.extend(result_or_raise(new))
    for own, windows in zip(sounds, together, strict=True):
        alone = WindowStream(front_end, [encoder]).push(own)
        assert len(windows) == len(alone)
        for one, other in zip(windows, alone, strict=True):
            assert_equal(one, other)


@settings(max_examples=25, deadline=None)
@given(
    strides=st.lists(st.integers(1, 4), min_size=2, max_size=8),
    overlap=st.sampled_from([0.0, 0.5, 0.742, 0.95]),
)
def test_a_stride_skips_windows_and_changes_none(strides: list[int], overlap: float) -> None:
    front_end = front_end_for(16_000, 1.2, 1.2 * (1 - overlap))
    sound = machine_sound(6.0)
    every = {window.start: window for window in extract(sound, front_end)}
    stream = WindowStream(front_end)
    found: list[Window] = []
    for number, block in enumerate(np.array_split(sound, len(strides) * 3)):
        stream.set_stride(strides[number % len(strides)])
        found += stream.push(block)
    assert found[0].start == 0
    for window in found:
        assert_equal(window, every[window.start])
    for before, window in pairwise(found):
        assert window.start - before.start == window.hops * front_end.hop


class CountingNetwork(Network):
    """A network that records the batch size of each call."""

    def __init__(self, onnx: bytes, sha256: str) -> None:
        super().__init__(onnx, sha256, Runtime())
        self.batches: list[int] = []

    @override
    def run(
        self, layout: InputLayout, outputs: Sequence[str], steps: np.ndarray
    ) -> list[np.ndarray]:
        self.batches.append(len(steps))
        return super().run(layout, outputs, steps)


def test_one_call_of_a_network_serves_all_streams() -> None:
    front_end, encoder = front_end_for(16_000), front_end_encoder()
    network = CountingNetwork(encoder.onnx, encoder.sha256)
    counting = Encoder(encoder.card, network)
    streams = [WindowStream(front_end, [counting]) for _ in range(4)]
    for stream in streams:
        stream.append(machine_sound(2.0))
    assert [len(result_or_raise(windows)) for windows in extract_pending(streams)] == [1] * 4
    assert network.batches == [4]


class FailingAnalysis(Analysis):
    """An analysis that fails after the first window."""

    @override
    def next(self, *_: object, **__: object) -> None:  # type: ignore[override]
        raise RuntimeError("as a network would")


def test_no_window_is_lost_when_a_failed_pass_is_repeated() -> None:
    front_end = front_end_for(16_000, 1.0, 0.25)
    sound = machine_sound(3.0)
    stream = WindowStream(front_end)
    working = stream.analysis
    stream.append(sound)
    stream.analysis = FailingAnalysis(front_end)
    assert isinstance(extract_pending([stream])[0], RuntimeError)
    stream.analysis = working
    windows = result_or_raise(extract_pending([stream])[0])
    assert [window.start for window in windows][-1] == (
        (len(sound) - front_end.window) // front_end.hop * front_end.hop
    )


def test_nothing_is_computed_before_a_window_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    front_end = front_end_for(16_000)
    stream = WindowStream(front_end)
    monkeypatch.setattr(np.fft, "rfft", lambda *_, **__: pytest.fail("a transform"))
    for _ in range(19):
        assert stream.push(np.zeros(1600, np.float32)) == []


@pytest.mark.parametrize("sound", [np.zeros(20_000), np.full(20_000, 0.5)])
def test_features_of_silence_and_of_a_constant_are_finite(sound: np.ndarray) -> None:
    front_end = front_end_for(16_000, MIN_WINDOW_S, 0.1)
    for window in extract(sound.astype(np.float32), front_end):
        for name, vector in window.features.items():
            assert np.isfinite(vector).all(), name


def test_log_mel_frames_are_those_of_the_whole_recording() -> None:
    sound = machine_sound(4.0)
    front_end = front_end_for(16_000)
    log_mel = log_mel_spectrogram(sound, front_end)
    windows = extract(sound, front_end)
    assert windows[1].features["spectrum"] == pytest.approx(log_mel[16 : 16 + 61].mean(0), abs=1e-5)


def test_streams_with_equal_parameters_share_an_analysis() -> None:
    front_end = front_end_for(16_000)
    encoder = front_end_encoder()
    again = Encoder.from_bytes(encoder.onnx, encoder.card)
    streams = [WindowStream(front_end, [each]) for each in (encoder, again)]
    assert streams[0].analysis is streams[1].analysis
    assert WindowStream(front_end).analysis is not streams[0].analysis
