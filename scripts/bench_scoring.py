"""How much sound is scored a processor second: machines × overlap × blocks × publishing."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from bench_broker import Broker, Publisher
from bench_detectors import HOP_FRAMES, LIVE_S, RECORDED_S, Machines, detectors
from bench_measure import median_cpu_s, number, table

from asd_monitor.errors import OperationError

MACHINES = (1, 8, 64)
ROUND_S = {1: 60.0, 8: 15.0, 64: 5.0}
"""Seconds of sound of each machine in a round."""


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
    machines: int,
    overlap: str,
    block_s: float,
    *,
    normals_s: float,
    short: bool,
    told: Publisher | None = None,
) -> Cell:
    """Measure one cell."""
    heard = Machines(detectors(machines, HOP_FRAMES[overlap], normals_s))
    seconds = min(ROUND_S[machines], RECORDED_S if short else 60.0)
    if machines > 8 and block_s == LIVE_S:
        seconds = 2.0  # their windows end one after the other: any two seconds are alike

    def work() -> None:
        heard.hear(seconds, block_s, None if told is None else told.tell)
        if told is not None:
            told.drain()

    spent_s = median_cpu_s(work, rounds=3 if short else 7, budget_s=3.0 if short else 8.0)
    if told is not None and told.dropped:
        raise OperationError(f"{told.dropped} scores were not published")
    return Cell(machines, overlap, block_s, told is not None, machines * seconds / spent_s)


def run(floor: dict[str, float], *, normals_s: float, short: bool) -> tuple[dict[str, Any], str]:
    """Return all cells, and their tables."""
    cells = []
    with publisher() as told:
        for machines in MACHINES:
            for overlap in HOP_FRAMES:
                sys.stderr.write(f"bench: {machines} machines, overlap {overlap}\n")
                cells += [
                    measure(machines, overlap, block, normals_s=normals_s, short=short, told=to)
                    for block in (LIVE_S, RECORDED_S)
                    for to in (None, told)
                ]
    text = "".join(_table(cells, floor, published=published) for published in (False, True))
    return {"normals_s": normals_s, "cells": [asdict(cell) for cell in cells]}, text


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
