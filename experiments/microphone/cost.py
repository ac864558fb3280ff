"""The processor time that the recognition of the microphone's faults takes for each window.

    python -m experiments.microphone.cost

One synthetic machine, all views and the shipped encoder, in blocks of a hop.  Prints the processor
time of scoring a window, and that of the recognition alone in training sound, in microseconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from asd_monitor.detector.detector import LINES, SPECTRUM
from asd_monitor.detector.fit import fit_detector
from asd_monitor.microphone.baseline import MicrophoneBaseline
from asd_monitor.microphone.recent_spectra import DB, Spectrum
from asd_monitor.microphone.recognition import MicrophoneRecognition
from asd_monitor.microphone.sample_counter import NO_SAMPLE_FAULTS
from asd_monitor.model_training.microphone_baseline import microphone_baseline
from asd_monitor.pipeline import Pipeline
from asd_monitor.records import Block, Stream
from asd_monitor.synthesis.families import draw_machine
from asd_monitor.synthesis.rendering import render
from experiments.alarms.feature_extraction import FRONT_END, encoders, windows_of
from experiments.command_line import parser_of

ROUNDS, TRAINING_S, LIVE_S = 9, 60.0, 30.0


MUFFLED_DB = 9.0


def measured() -> tuple[float, float, float]:
    """Return the µs of scoring a window, and of the recognition, as medians over the rounds.

    The last is that of the recognition in sound that is muffled, as long as it is found.
    """
    rng = np.random.default_rng(1)
    spec = draw_machine("fan", rng)
    windows = windows_of(render(spec, TRAINING_S, rng))
    detector = fit_detector([windows], FRONT_END, FRONT_END.rate_hz, encoders()).detector
    baseline = microphone_baseline(detector, [windows], NO_SAMPLE_FAULTS)
    if baseline is None:
        raise ValueError("the training sound is too short")
    live, hop = render(spec, LIVE_S, rng), FRONT_END.hop
    lines = baseline.lines.shape[1]
    spectra = [(each.features[SPECTRUM], each.features[LINES][:lines]) for each in windows]
    stream = Stream(FRONT_END.rate_hz)
    blocks = [Block(stream, at, live[at : at + hop]) for at in range(0, len(live) - hop, hop)]
    muffled = np.where(np.arange(FRONT_END.mel_bands) < FRONT_END.mel_bands // 2, 0.0, MUFFLED_DB)
    changed = [(bands - (muffled / DB).astype(np.float32), each) for bands, each in spectra]
    scoring, recognition, recognition_of_muffled = [], [], []
    for _ in range(ROUNDS):
        pipeline = Pipeline(replace(detector, microphone=None))
        begun_s = time.process_time()
        count = sum(len(pipeline.push(block)) for block in blocks)
        scoring.append((time.process_time() - begun_s) / count)
        recognition.append(_recognition_s(baseline, blocks, spectra))
        recognition_of_muffled.append(_recognition_s(baseline, blocks, changed))
    return (
        1e6 * median(scoring),
        1e6 * median(recognition),
        1e6 * median(recognition_of_muffled),
    )


def _recognition_s(
    baseline: MicrophoneBaseline,
    blocks: Sequence[Block],
    spectra: Sequence[tuple[Spectrum, Spectrum]],
) -> float:
    """Return the s of the recognition for each window."""
    subject = MicrophoneRecognition(baseline, FRONT_END.rate_hz)
    begun_s = time.process_time()
    for block, (bands, lines) in zip(blocks, spectra, strict=False):
        subject.push_samples(block)
        subject.push_window(bands, lines, block.end)
    return (time.process_time() - begun_s) / min(len(blocks), len(spectra))


def main() -> int:
    """Measure and print."""
    parser_of("microphone.cost", __doc__).parse_args()
    scoring_us, recognition_us, muffled_us = measured()
    share = recognition_us / scoring_us
    sys.stdout.write(
        f"scoring {scoring_us:.0f} µs a window, recognition {recognition_us:.1f} µs: {share:.1%}\n"
        f"in muffled sound {muffled_us:.0f} µs\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
