"""Sound scored per processor second, by machines, overlap, block length and publishing."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from asd_monitor.errors import OperationError
from benchmarks.measure import medians_cpu_s, number
from benchmarks.mosquitto import MosquittoProcess
from benchmarks.score_publisher import ScorePublisher
from benchmarks.simulated_fleet import (
    HOP_FRAMES,
    LIVE_BLOCK_S,
    RECORDED_BLOCK_S,
    SimulatedFleet,
    fitted_detectors,
)
from experiments.markdown import table

MACHINES = (1, 8, 64)
ROUND_S = {1: 60.0, 8: 15.0, 64: 5.0}


@dataclass(frozen=True, slots=True)
class ScoringRate:
    """Seconds of one microphone's sound scored per processor second."""

    machines: int
    overlap: str
    block_s: float
    published: bool
    rate: float


@contextmanager
def running_publisher() -> Iterator[ScorePublisher]:
    """Start a broker and connect to it for the duration of the context."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with (
        tempfile.TemporaryDirectory() as folder,
        MosquittoProcess(Path(folder)) as broker,
        ScorePublisher(broker.port) as publisher,
    ):
        yield publisher


def measure(
    machines: int, *, training_s: float, short: bool, publisher: ScorePublisher | None = None
) -> list[ScoringRate]:
    """Measure every overlap and block length in turn; with a publisher also published."""
    works = {}
    for overlap, hop_frames in HOP_FRAMES.items():
        fleet = SimulatedFleet(fitted_detectors(machines, hop_frames, training_s))
        for block_s in (LIVE_BLOCK_S, RECORDED_BLOCK_S):
            for through in (None,) if publisher is None else (None, publisher):
                key = overlap, block_s, through is not None
                seconds = _round_s(machines, block_s, short=short)
                works[key] = partial(_score, fleet, seconds, block_s, through)
    spent_s = medians_cpu_s(works, rounds=3 if short else 9, budget_s=0.0 if short else 120.0)
    if publisher is not None and publisher.dropped:
        raise OperationError(f"{publisher.dropped} scores were not published")
    return [
        ScoringRate(machines, *key, machines * _round_s(machines, key[1], short=short) / spent)
        for key, spent in spent_s.items()
    ]


def _score(
    fleet: SimulatedFleet, seconds: float, block_s: float, publisher: ScorePublisher | None
) -> None:
    fleet.score(seconds, block_s, None if publisher is None else publisher.publish)
    if publisher is not None:
        publisher.drain()


def _round_s(machines: int, block_s: float, *, short: bool) -> float:
    """Return the seconds of sound of each machine in a round."""
    if machines > 8 and block_s == LIVE_BLOCK_S:
        return 2.0  # their windows end at different times: any two seconds are alike
    return min(ROUND_S[machines], RECORDED_BLOCK_S) if short else ROUND_S[machines]


def run(
    floor: dict[str, float], *, training_s: float, short: bool
) -> tuple[list[ScoringRate], str]:
    """Return all rates, and their tables."""
    rates: list[ScoringRate] = []
    with running_publisher() as publisher:
        for machines in MACHINES:
            sys.stderr.write(f"benchmarks: {machines} machines\n")
            rates += measure(machines, training_s=training_s, short=short, publisher=publisher)
    text = "".join(_table(rates, floor, published=published) for published in (False, True))
    return rates, text


def _table(rates: list[ScoringRate], floor: dict[str, float], *, published: bool) -> str:
    found = {(r.machines, r.overlap, r.block_s): r.rate for r in rates if r.published == published}
    rows = []
    for machines in MACHINES:
        for overlap in HOP_FRAMES:
            row = [f"{machines}", overlap]
            for block_s in (LIVE_BLOCK_S, RECORDED_BLOCK_S):
                rate = found[machines, overlap, block_s]
                relative = found[machines, "none", block_s] / rate
                row += [number(rate), f"{floor['any'] / rate:.1f}"]
                row += [f"{floor['numpy'] / rate:.1f}", f"{relative:.2f}"]
            rows.append(row)
    title = "Every score published" if published else "Scored only"
    head = ["machines", "overlap"]
    for block in ("0.1 s blocks", "5 s blocks"):
        head += [f"{block}: mic-s / CPU-s", "× floor", "× numpy's floor", "× no overlap"]
    return f"\n{title}:\n\n{table(head, rows)}"
