"""The pattern: what ripples in time and frequency answer, by plain convolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.features.separable_gabor import (
    FILTER_BANDS,
    GROUPS,
    MODULUS_FLOOR,
    PLACES,
    RIPPLES,
    SPECTRAL_PER_BAND,
    TEMPORAL_HZ,
    GaborFeatures,
)

FRAME_RATE_HZ = 31.25


def zero_sum(wave: np.ndarray, envelope: np.ndarray) -> np.ndarray:
    """A ripple under its envelope, the real part without what a flat spectrum would answer."""
    flat = envelope * (envelope @ wave.real) / envelope.sum()
    return envelope * wave - flat


def bank() -> list[np.ndarray]:
    """Return the filters (frames, bands), in the order of `Pattern.vectors`."""
    reach = GaborFeatures(FRAME_RATE_HZ, 128).reach
    seconds = (np.arange(reach) - reach // 2) / FRAME_RATE_HZ
    bands = np.arange(FILTER_BANDS) - FILTER_BANDS // 2
    in_time, in_bands = np.hanning(reach + 2)[1:-1], np.hanning(FILTER_BANDS + 2)[1:-1]
    times = [in_time + 0j] + [
        zero_sum(np.exp(2j * np.pi * TEMPORAL_HZ * k / RIPPLES * seconds), in_time)
        for k in range(1, RIPPLES + 1)
    ]
    along = [in_bands + 0j] + [
        zero_sum(np.exp(2j * np.pi * SPECTRAL_PER_BAND * k / RIPPLES * bands), in_bands)
        for k in range(1, RIPPLES + 1)
    ]
    filters = [np.outer(times[0], along[0])]
    filters += [np.outer(times[0], each) for each in along[1:]]
    filters += [np.outer(each, along[0]) for each in times[1:]]
    pairs = [(t, s) for t in times[1:] for s in along[1:]]
    filters += [np.outer(t, s) for t, s in pairs] + [np.outer(t, s.conj()) for t, s in pairs]
    return [each / np.abs(each).sum() for each in filters]


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(12, 40), seed=st.integers(0, 5))
def test_answers_are_those_of_plain_filters(frames: int, seed: int) -> None:
    log_mel = np.random.default_rng(seed).standard_normal((frames, 128)).astype(np.float32)
    pattern = GaborFeatures(FRAME_RATE_HZ, 128)
    answers = pattern.answers(pattern.ripples(log_mel[None]))
    assert answers.shape[1] == frames + 1 - pattern.reach
    vectors = pattern.vectors(answers.max(1, keepdims=True))[0, 0]

    halves = np.pad(log_mel.reshape(frames, 64, 2).mean(2), ((0, 0), (7, 7)), mode="reflect")
    centres = ((np.arange(PLACES) + 0.5) * 64 / PLACES).astype(int)
    expected = []
    for each in bank():
        reach = len(each)
        moduli = np.array(
            [
                [abs((halves[k : k + reach, c : c + FILTER_BANDS] * each).sum()) for c in centres]
                for k in range(frames + 1 - reach)
            ]
        )
        grouped = moduli.max(0).reshape(GROUPS, -1).max(1)
        expected.append(np.log(grouped + MODULUS_FLOOR))
    # in a chain of float32 products a difference of two like numbers rounds a little
    assert np.exp(vectors) == pytest.approx(np.exp(np.concatenate(expected)), rel=1e-3, abs=1e-5)


def test_what_is_flat_answers_to_the_flat_filter_only() -> None:
    pattern = GaborFeatures(FRAME_RATE_HZ, 128)
    flat = np.full((1, 30, 128), -3.0, np.float32)
    answers = np.sqrt(pattern.answers(pattern.ripples(flat)))
    per_filter = answers[0].reshape(answers.shape[1], -1, PLACES)
    assert per_filter[:, 0].min() > 1
    assert per_filter[:, 1:].max() < 1e-3


def test_upward_and_downward_sweeps_are_told_apart() -> None:
    pattern = GaborFeatures(FRAME_RATE_HZ, 128)
    frames, bands = np.arange(60)[:, None], np.arange(128)[None, :]
    seen = []
    for direction in (1, -1):
        sweep = np.cos(2 * np.pi * (6.0 * frames / FRAME_RATE_HZ + direction * 0.0625 * bands))
        answers = pattern.answers(pattern.ripples(sweep[None].astype(np.float32)))
        seen.append(pattern.vectors(answers.max(1, keepdims=True))[0, 0].reshape(-1, GROUPS))
    middle = slice(2, 6)
    up, down = (each[:, middle].mean(1) for each in seen)
    many = RIPPLES * RIPPLES
    first = 1 + 2 * RIPPLES
    strongest = first + int(np.argmax(up[first : first + 2 * many]))
    mirrored = strongest + many if strongest < first + many else strongest - many
    assert up[strongest] > down[strongest] + 1
    assert down[mirrored] > up[mirrored] + 1
