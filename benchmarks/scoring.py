"""How much sound is scored a processor second: machines × overlap × blocks × publishing."""

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
from benchmarks.broker import Broker, Publisher
from benchmarks.detectors import HOP_FRAMES, LIVE_S, RECORDED_S, Machines, detectors
from benchmarks.measure import medians_cpu_s, number, table

MACHINES = (1, 8, 64)
ROUND_S = {1: 60.0, 8: 15.0, 64: 5.0}


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure: microphone-seconds scored a processor second."""

    machines: int
    overlap: str
    block_s: float
    published: bool
    rate: float


@contextmanager
def publisher() -> Iterator[Publisher]:
    """Connect to a broker that runs as long."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with (
        tempfile.TemporaryDirectory() as folder,
        Broker(Path(folder)) as broker,
        Publisher(broker.port) as told,
    ):
        yield told


def measure(
    machines: int, *, reference_s: float, short: bool, told: Publisher | None = None
) -> list[Cell]:
    """Measure every overlap and block, taking turns; with ``told`` published and not."""
    works = {}
    for overlap, hop_frames in HOP_FRAMES.items():
        heard = Machines(detectors(machines, hop_frames, reference_s))
        for block_s in (LIVE_S, RECORDED_S):
            for to in (None,) if told is None else (None, told):
                key = overlap, block_s, to is not None
                seconds = _round_s(machines, block_s, short=short)
                works[key] = partial(_hear, heard, seconds, block_s, to)
    spent_s = medians_cpu_s(works, rounds=3 if short else 9, budget_s=0.0 if short else 120.0)
    if told is not None and told.dropped:
        raise OperationError(f"{told.dropped} scores were not published")
    return [
        Cell(machines, *key, machines * _round_s(machines, key[1], short=short) / spent)
        for key, spent in spent_s.items()
    ]


def _hear(heard: Machines, seconds: float, block_s: float, told: Publisher | None) -> None:
    heard.hear(seconds, block_s, None if told is None else told.tell)
    if told is not None:
        told.drain()


def _round_s(machines: int, block_s: float, *, short: bool) -> float:
    """Return the seconds of sound of each machine in a round."""
    if machines > 8 and block_s == LIVE_S:
        return 2.0  # their windows end one after the other: any two seconds are alike
    return min(ROUND_S[machines], RECORDED_S) if short else ROUND_S[machines]


def run(floor: dict[str, float], *, reference_s: float, short: bool) -> tuple[list[Cell], str]:
    """Return all cells, and their tables."""
    cells: list[Cell] = []
    with publisher() as told:
        for machines in MACHINES:
            sys.stderr.write(f"bench: {machines} machines\n")
            cells += measure(machines, reference_s=reference_s, short=short, told=told)
    text = "".join(_table(cells, floor, published=published) for published in (False, True))
    return cells, text


def _table(cells: list[Cell], floor: dict[str, float], *, published: bool) -> str:
    found = {(c.machines, c.overlap, c.block_s): c.rate for c in cells if c.published == published}
    rows = []
    for machines in MACHINES:
        for overlap in HOP_FRAMES:
            row = [f"{machines}", overlap]
            for block_s in (LIVE_S, RECORDED_S):
                rate = found[machines, overlap, block_s]
                dearer = found[machines, "none", block_s] / rate
                row += [number(rate), f"{floor['any'] / rate:.1f}"]
                row += [f"{floor['numpy'] / rate:.1f}", f"{dearer:.2f}"]
            rows.append(row)
    title = "Every score published" if published else "Scored only"
    head = ["machines", "overlap"]
    for block in ("0.1 s blocks", "5 s blocks"):
        head += [f"{block}: mic-s / CPU-s", "× floor", "× numpy's floor", "× no overlap"]
    return f"\n{title}:\n\n{table(head, rows)}"
