"""Networks over a stream: each frame as if the whole recording had been run at once."""

import functools
from math import gcd
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.dsp.front_end import FrontEnd, front_end_for
from asd_monitor.dsp.mel import Bands, htk_to_hz, hz_to_htk
from asd_monitor.encoders.card import card_of
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.steps import steps_of
from asd_monitor.encoders.streaming import EncoderStream
from asd_monitor.features.windows import WindowStream
from asd_monitor.records import Samples
from tests.doubles.synthetic_networks import (
    ENCODERS,
    FAR,
    LOG_MEL,
    build_encoder,
    maps_card,
    maps_network,
    wave_card,
)
from tests.doubles.synthetic_sounds import machine_sound

HOP = 160  # samples from step to step of LOG_MEL


# log-mel steps


def test_htk_mels_at_hand_values() -> None:
    # 1000 Hz are 1000 mel in HTK's scale, to three digits; 700 (e − 1) Hz are 1127
    assert hz_to_htk([0, 1000, 700 * (np.e - 1)]) == pytest.approx([0, 1000, 1127], rel=1e-3)
    assert htk_to_hz(hz_to_htk([60, 440, 7500])) == pytest.approx([60, 440, 7500])


@pytest.mark.parametrize("straight_in_mel", [False, True])
@pytest.mark.parametrize("area", [False, True])
def test_bands_are_triangles_between_the_centres_beside(straight_in_mel: bool, area: bool) -> None:
    bands = Bands(125.0, 7500.0, 8, htk=True, area=area, straight_in_mel=straight_in_mel)
    weights = bands.weights(16_000, 512)
    assert weights.shape == (257, 8)
    edges_mel = np.linspace(float(hz_to_htk(125)), float(hz_to_htk(7500)), 10)
    edges_hz = 700 * (np.exp(edges_mel / 1127) - 1)
    bins_hz = np.arange(257) * 16_000 / 512
    x, edges = (hz_to_htk(bins_hz), edges_mel) if straight_in_mel else (bins_hz, edges_hz)
    for band in range(8):
        height = 2 / (edges_hz[band + 2] - edges_hz[band]) if area else 1.0
        expected = np.interp(x, edges[band : band + 3], [0, height, 0])
        assert weights[:, band] == pytest.approx(expected, abs=1e-6)


def _reference_steps(kind: Any, sound: Samples) -> np.ndarray:
    """Log-mel frames by the letter of the card, in double precision, one by one."""
    bands = Bands(
        kind.low_hz, kind.high_hz, kind.bands, kind.mel == "htk", kind.area, kind.slopes == "mel"
    ).weights(kind.rate_hz, kind.fft)
    rows = []
    for start in range(0, len(sound) - kind.frame + 1, kind.hop):
        frame = sound[start : start + kind.frame] * np.hanning(kind.frame + 1)[:-1]
        padded = np.concatenate([frame, np.zeros(kind.fft - kind.frame)])
        mel = np.abs(np.fft.rfft(padded)) ** kind.power @ bands.astype(float)
        energy = np.maximum(mel + kind.offset, kind.floor)
        logarithm = {"ln": np.log, "log10": np.log10, "db": lambda x: 10 * np.log10(x)}[kind.log]
        rows.append((logarithm(energy) - kind.mean) / kind.scale)
    return np.array(rows)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mel": "slaney", "area": True, "power": 2, "log": "log10", "offset": 0.0, "floor": 1e-6},
        {"log": "db", "power": 2, "mean": -20.0, "scale": 15.0, "slopes": "mel"},
    ],
)
def test_steps_are_what_the_card_says(changes: dict[str, Any]) -> None:
    kind = card_of(maps_card(input=LOG_MEL | changes), "made").input
    sound = machine_sound(0.3)
    steps = steps_of(kind)
    got = np.concatenate([steps.push(sound[:1000]), steps.push(sound[1000:])])
    assert got == pytest.approx(_reference_steps(kind, sound), abs=2e-3)


# streams


Frames = dict[str, np.ndarray]


def _frames_of(encoder: Encoder, sound: Samples) -> Frames:
    """Every frame of every output, the whole sound run at once, or each patch by itself."""
    card, layout = encoder.card, encoder.open()
    steps = steps_of(card.input).push(sound)
    frames: Frames = {}
    for output in card.outputs:
        if layout.steps is None:
            [frames[output.name]] = encoder.network.run(layout, [output.name], steps[None])
        else:
            count = (len(steps) - output.reach) // output.stride + 1
            pieces = [steps[k * output.stride :][: output.reach] for k in range(count)]
            frames[output.name] = np.concatenate(
                [encoder.network.run(layout, [output.name], piece[None])[0] for piece in pieces]
            )
    return frames


def _vectors(encoder: Encoder, frames: Frames, start: int, end: int) -> Frames:
    """The vectors of a window, its frames picked one by one."""
    card = encoder.card
    pools = {"mean": np.mean, "spread": np.std, "maximum": np.max}
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
def test_vectors_do_not_depend_on_how_the_stream_is_cut(
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
            stream.forget(start)
    assert start > 0


def test_pools_stand_in_the_order_of_outputs_and_pools() -> None:
    stream = EncoderStream(ENCODERS["maps"])
    stream.push(machine_sound(1.0))
    vector = stream.between(0, 16_000)["pooled"]
    far, near = np.split(vector, [30])
    assert (len(far), len(near)) == (30, 15)
    for mean, spread, maximum in (np.split(far, 3), np.split(near, 3)):
        assert (spread >= 0).all()
        assert (maximum >= mean).all()
        assert not np.allclose(maximum, mean)


class _Counting:
    """A session that counts the steps that it is given."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.steps = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, names: list[str], fed: dict[str, np.ndarray]) -> Any:
        [given] = fed.values()
        self.steps += given.shape[-2]
        return self._session.run(names, fed)


def test_the_network_runs_on_what_is_new_and_its_context_only() -> None:
    encoder = build_encoder(maps_network(7), maps_card())
    counting = encoder.network._session = _Counting(encoder.network.session)
    windows = WindowStream(front_end_for(16_000), [encoder])
    sound = machine_sound(10.0)
    made = [w for piece in np.split(sound, 100) for w in windows.push(piece)]
    assert len(made) == 16
    per_window = front_end_for(16_000).hop / HOP
    assert counting.steps < 200 + len(made) * (per_window + FAR["reach"] + FAR["stride"])


def test_windows_carry_the_vectors_under_the_views_names() -> None:
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


# what fits


@given(
    reach=st.integers(1, 60),
    stride=st.integers(1, 60),
    window=st.integers(20, 80),
    hop=st.integers(1, 40),
)
def test_what_fits_has_a_frame_in_every_window(
    reach: int, stride: int, window: int, hop: int
) -> None:
    outputs = [{"name": "map", "reach": reach, "stride": stride}]
    card = wave_card() | {"outputs": outputs}
    front_end = FrontEnd(frame=window, frame_hop=1, window_frames=1, hop_frames=hop)
    assert (front_end.window, front_end.hop) == (window, hop)
    fits = build_encoder(b"", card).incompatibility(front_end) is None
    every = stride * hop // gcd(stride, hop)  # after so many samples it is all the same again
    frames_in = [
        any(
            start <= begin and begin + reach <= start + window
            for begin in range(0, start + window, stride)
        )
        for start in range(0, every, hop)
    ]
    assert fits == all(frames_in)


def test_another_rate_or_too_short_a_window_is_told() -> None:
    encoder = ENCODERS["maps"]
    assert encoder.incompatibility(front_end_for(16_000)) is None
    assert "takes sound of 16000 Hz, and this is heard at 8000 Hz" in str(
        encoder.incompatibility(front_end_for(8_000))
    )
    slow = build_encoder(maps_network(), maps_card(outputs=[{**FAR, "reach": 197}]))
    assert "'far' needs windows of" in str(slow.incompatibility(front_end_for(16_000)))
