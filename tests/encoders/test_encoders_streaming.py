"""Networks on streams: frames are those of one run on the whole recording."""

import functools
from collections.abc import Callable, Sequence
from math import gcd
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from asd_monitor.dsp.front_end import FrontEnd, front_end_for
from asd_monitor.dsp.mel import MelBands
from asd_monitor.encoders.card import card_from_values
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import InputLayout, Network
from asd_monitor.encoders.steps import step_stream
from asd_monitor.encoders.streaming import EncoderStream
from asd_monitor.features.windows import WindowStream
from asd_monitor.records import Samples
from tests.doubles.synthetic_networks import (
    DEEP_REACH,
    DEEP_STRIDE,
    ENCODERS,
    FAR,
    LOG_MEL,
    build_encoder,
    maps_card,
    maps_network,
    wave_card,
)
from tests.doubles.synthetic_sounds import machine_sound

HOP = 160  # samples between the steps of LOG_MEL


def _reference_steps(kind: Any, sound: Samples) -> np.ndarray:
    """Log-mel frames by the formula of the card, in double precision, one by one."""
    bands = MelBands(
        kind.low_hz,
        kind.high_hz,
        kind.bands,
        scale=kind.mel,
        unit_area=kind.area,
        slopes=kind.slopes,
    ).weights(kind.rate_hz, kind.fft)
    rows = []
    for start in range(0, len(sound) - kind.frame + 1, kind.hop):
        frame = sound[start : start + kind.frame] * np.hanning(kind.frame + 1)[:-1]
        padded = np.concatenate([frame, np.zeros(kind.fft - kind.frame)])
        mel = np.abs(np.fft.rfft(padded)) ** kind.power @ bands.astype(float)
        energy = np.maximum(mel + kind.offset, kind.floor)
        scales = {"ln": np.log(energy), "log10": np.log10(energy), "db": 10 * np.log10(energy)}
        rows.append((scales[kind.log] - kind.mean) / kind.scale)
    return np.array(rows)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mel": "slaney", "area": True, "power": 2, "log": "log10", "offset": 0.0, "floor": 1e-6},
        {"log": "db", "power": 2, "mean": -20.0, "scale": 15.0, "slopes": "mel"},
    ],
)
def test_steps_are_those_of_the_card(changes: dict[str, Any]) -> None:
    kind = card_from_values(maps_card(input=LOG_MEL | changes), "card").input
    sound = machine_sound(0.3)
    steps = step_stream(kind)
    got = np.concatenate([steps.push(sound[:1000]), steps.push(sound[1000:])])
    assert got == pytest.approx(_reference_steps(kind, sound), abs=2e-3)


Frames = dict[str, np.ndarray]


def _frames_of(encoder: Encoder, sound: Samples) -> Frames:
    """Every frame of every output, from one run on the whole sound, or one for each patch."""
    card, layout = encoder.card, encoder.open()
    steps = step_stream(card.input).push(sound)
    frames: Frames = {}
    for output in card.outputs:
        if layout.steps is None:
            [frames[output.name]] = encoder.network.run(layout, [output.name], steps[None])
        else:
            count = (len(steps) - output.receptive_field) // output.stride + 1
            patches = [steps[k * output.stride :][: output.receptive_field] for k in range(count)]
            frames[output.name] = np.concatenate(
                [encoder.network.run(layout, [output.name], patch[None])[0] for patch in patches]
            )
    return frames


def _vectors(encoder: Encoder, frames: Frames, start: int, end: int) -> Frames:
    """The vectors of a window, its frames selected one by one."""
    card = encoder.card
    pools: dict[str, Callable[..., np.ndarray]] = {
        "mean": np.mean,
        "spread": np.std,
        "maximum": np.max,
    }
    vectors = {}
    for view in card.resolved_views:
        parts = []
        for name in view.outputs:
            output = next(o for o in card.outputs if o.name == name)
            begins = [k * output.stride * card.input.hop for k in range(len(frames[name]))]
            within = [start <= begin and begin + card.span(output) <= end for begin in begins]
            parts += [pools[pool](frames[name][within], axis=0) for pool in view.pool]
        vectors[view.name] = np.concatenate(parts)
    return vectors


@functools.cache
def _known(name: str, seed: int) -> tuple[Samples, Frames]:
    sound = machine_sound(2.0, seed=seed)
    return sound, _frames_of(ENCODERS[name], sound)


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9000), max_size=30),
    hop=st.integers(300, 9000),
    seed=st.integers(0, 1),
)
def test_vectors_do_not_depend_on_the_blocks_of_the_stream(
    name: str, sizes: list[int], hop: int, seed: int
) -> None:
    encoder = ENCODERS[name]
    sound, frames = _known(name, seed)
    window = 12_000
    stream = EncoderStream(encoder)
    start = position = 0
    for size in [*sizes, len(sound)]:
        stream.push(sound[position : position + size])
        position = min(len(sound), position + size)
        while start + window <= position:
            expected = _vectors(encoder, frames, start, start + window)
            vectors = stream.between(start, start + window)
            assert vectors.keys() == expected.keys()
            for view, vector in vectors.items():
                assert vector.dtype == np.float32
                assert vector == pytest.approx(expected[view], abs=1e-4)
            start += hop
            stream.discard(start)
    assert start > 0


def test_vectors_are_in_the_order_of_outputs_and_pools() -> None:
    stream = EncoderStream(ENCODERS["maps"])
    stream.push(machine_sound(1.0))
    vector = stream.between(0, 16_000)["pooled"]
    far, near = np.split(vector, [30])
    assert (len(far), len(near)) == (30, 15)
    for mean, spread, maximum in (np.split(far, 3), np.split(near, 3)):
        assert (spread >= 0).all()
        assert (maximum >= mean).all()
        assert not np.allclose(maximum, mean)


class _CountingNetwork(Network):
    """A network that counts the steps of its calls."""

    def __init__(self, onnx: bytes, sha256: str) -> None:
        super().__init__(onnx, sha256, Runtime())
        self.steps = 0

    @override
    def run(
        self, layout: InputLayout, outputs: Sequence[str], steps: np.ndarray
    ) -> list[np.ndarray]:
        self.steps += steps.shape[1]
        return super().run(layout, outputs, steps)


def test_a_network_runs_on_new_steps_and_their_context_only() -> None:
    encoder = build_encoder(maps_network(7), maps_card())
    network = _CountingNetwork(encoder.onnx, encoder.sha256)
    stream = WindowStream(front_end_for(16_000), [Encoder(encoder.card, network)])
    sound = machine_sound(10.0)
    windows = [window for block in np.split(sound, 100) for window in stream.push(block)]
    assert len(windows) == 16
    per_window = front_end_for(16_000).hop / HOP
    assert network.steps < 200 + len(windows) * (per_window + DEEP_REACH + DEEP_STRIDE)


def test_windows_have_the_vectors_by_the_names_of_views() -> None:
    front_end = front_end_for(16_000)
    encoders = [ENCODERS["maps"], ENCODERS["waveform"]]
    sound = machine_sound(4.0)
    plain = WindowStream(front_end).push(sound)
    windows = WindowStream(front_end, encoders).push(sound)
    frames = _frames_of(encoders[0], sound)
    for window, without in zip(windows, plain, strict=True):
        assert window.features.keys() - without.features.keys() == {"pooled", "wavy"}
        for name, vector in without.features.items():
            assert np.array_equal(window.features[name], vector)
        expected = _vectors(encoders[0], frames, window.start, window.end)["pooled"]
        assert window.features["pooled"] == pytest.approx(expected, abs=1e-4)


@given(
    reach=st.integers(1, 60),
    stride=st.integers(1, 60),
    window=st.integers(20, 80),
    hop=st.integers(1, 40),
)
def test_a_compatible_encoder_has_a_frame_in_every_window(
    reach: int, stride: int, window: int, hop: int
) -> None:
    outputs = [{"name": "map", "reach": reach, "stride": stride}]
    card = wave_card() | {"outputs": outputs}
    front_end = FrontEnd(frame=window, frame_hop=1, window_frames=1, hop_frames=hop)
    assert (front_end.window, front_end.hop) == (window, hop)
    compatible = build_encoder(b"", card).incompatibility(front_end) is None
    period = stride * hop // gcd(stride, hop)  # of the positions of windows among frames
    frames_in = [
        any(
            start <= begin and begin + reach <= start + window
            for begin in range(0, start + window, stride)
        )
        for start in range(0, period, hop)
    ]
    assert compatible == all(frames_in)


def test_reasons_for_incompatibility() -> None:
    encoder = ENCODERS["maps"]
    assert encoder.incompatibility(front_end_for(16_000)) is None
    assert "takes sound of 16000 Hz, and this sound has 8000 Hz" in str(
        encoder.incompatibility(front_end_for(8_000))
    )
    slow = build_encoder(maps_network(), maps_card(outputs=[{**FAR, "reach": 197}]))
    assert "'far' needs windows of" in str(slow.incompatibility(front_end_for(16_000)))
