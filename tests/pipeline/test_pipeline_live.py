"""The same sound has the same scores from a microphone, as a `file:` device and by `score`."""

import math
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.audio.opening import open_source
from asd_monitor.audio.ring_buffer import RingBuffer
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.evaluation.recording_scores import score_recording
from asd_monitor.pipeline import Pipeline, WindowExtractor
from asd_monitor.records import Block
from tests.doubles.blocks import block_at
from tests.doubles.event_collector import EventCollector
from tests.doubles.synthetic_sounds import machine_sound, write

CAPTURED_S = 8.0


async def _capture(device: str, seconds: float = math.inf) -> tuple[int, list[Block]]:
    """Return the rate and the blocks of a device: at least so many seconds, or until it ends."""
    collector = EventCollector(open_source(parse_device(device), speed=0))

    def is_complete() -> bool:
        blocks = collector.blocks
        captured_s = (blocks[-1].end - blocks[0].start) / blocks[0].rate_hz if blocks else 0.0
        return captured_s >= seconds or collector.task.done()

    await collector.until(is_complete)
    await collector.close()
    return collector.blocks[0].rate_hz, collector.blocks


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
async def test_scores_from_microphone_file_device_and_score_command_are_equal(
    virtual_sound, tmp_path: Path, rate_hz: int
):
    front_end = front_end_for(16_000)
    reference = WindowExtractor(front_end).push(block_at(0, machine_sound(40.0)))
    detector = fit_detector([reference], front_end, 16_000).detector
    microphone = virtual_sound({"fan": 1}, rate_hz=rate_hz)["fan"]
    microphone.play(machine_sound(3.0, rate_hz=rate_hz, seed=3, fault=0.1), loop=True)

    live_rate_hz, live = await _capture("hw:1", CAPTURED_S)
    assert live_rate_hz == rate_hz
    samples = np.concatenate([block.samples for block in live])
    assert live[-1].end - live[0].start == len(samples), "samples were lost: too much load"
    recording = write(tmp_path / "captured.flac", samples, rate_hz)

    pipeline = Pipeline(detector)
    by_microphone = [score for block in live for score in pipeline.push(block)]
    by_microphone += pipeline.flush()

    _, played = await _capture(f"file:{recording}")
    ring, pipeline, position = RingBuffer(10.0, played[0].stream), Pipeline(detector), 0
    for block in played:
        ring.write(block)
    by_file = []
    while (part := ring.read(position, 4321)) is not None:
        by_file += pipeline.push(part)
        position = part.end
    by_file += pipeline.flush()

    by_score = score_recording(detector, recording).windows
    assert len(by_microphone) >= 10
    for others in (by_file, by_score):
        assert [score.end - score.start for score in others] == [
            score.end - score.start for score in by_microphone
        ]
        np.testing.assert_allclose(
            [score.fused for score in others], [s.fused for s in by_microphone], atol=1e-4
        )
