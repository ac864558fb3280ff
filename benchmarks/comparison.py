"""Scoring compared with an earlier checkout and with the autoencoder of DCASE, taking turns.

Other load on the computer affects all alike: each round runs the three one after the other, and
the ratios are those of a round.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.errors import OperationError
from benchmarks.measure import number, plain_environment
from benchmarks.simulated_fleet import HOP_FRAMES, LIVE_BLOCK_S, RECORDED_BLOCK_S
from experiments.markdown import table

MACHINES = (1, 64)
OVERLAPS = ("none", "75 %")
ROUNDS, SHORT_ROUNDS = 40, 12
SOUND_S = {1: 10.0, 64: 5.0}
"""Seconds of sound of each machine in a round: short, since other load comes and goes."""
AUTOENCODER_SOUND_S = 60.0
_THIS = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Cell:
    """What is scored in a round."""

    machines: int
    overlap: str
    block_s: float

    @property
    def blocks(self) -> str:
        """The length of a block as text."""
        return "a hop" if self.block_s == _hop_s(self.overlap) else f"{self.block_s:g} s"


CELLS = tuple(
    Cell(machines, overlap, block_s)
    for machines in MACHINES
    for overlap in OVERLAPS
    for block_s in (LIVE_BLOCK_S, FrontEnd(hop_frames=HOP_FRAMES[overlap]).hop_s, RECORDED_BLOCK_S)
)


class RoundChild:
    """A process that runs rounds on demand; use it with ``with``."""

    def __init__(self, role: str, tree: Path) -> None:
        self._role = role
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_THIS / "benchmarks" / "round_child.py"), role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree,
            env={**plain_environment(), "PYTHONPATH": str(tree)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, line: str) -> float:
        """Return the answer to a line.  Raises OperationError where the process has ended."""
        given, answers = self._process.stdin, self._process.stdout
        if given is None or answers is None:
            raise TypeError("the pipes were requested")
        given.write(f"{line}\n")
        given.flush()
        answer = answers.readline()
        if not answer:
            raise OperationError(f"the process for {self._role} has failed: see its message above")
        return float(json.loads(answer))


def run(before: Path | None, *, short: bool) -> tuple[dict[str, Any], str]:
    """Return microphone-seconds per processor second and their ratios, and the tables.

    Args:
        before: an earlier checkout, None to compare with the autoencoder only.
        short: fewer rounds.

    """
    rounds = SHORT_ROUNDS if short else ROUNDS
    trees = {"now": _THIS} if before is None else {"now": _THIS, "before": before.resolve()}
    found: dict[str, Any] = {"before": str(before), "cells": [], "memory_mb": {}}
    with ExitStack() as stack:
        autoencoder = stack.enter_context(RoundChild("autoencoder", _THIS))
        children = {
            name: stack.enter_context(RoundChild("scoring", tree)) for name, tree in trees.items()
        }
        for cell in CELLS:
            rates: dict[str, list[float]] = {name: [] for name in (*children, "autoencoder")}
            for number_of_round in range(rounds):
                for name in _in_turn(list(rates), number_of_round):
                    if name == "autoencoder":
                        rates[name].append(AUTOENCODER_SOUND_S / autoencoder.ask("1"))
                    else:
                        rates[name].append(_rate(children[name], cell))
            found["cells"].append(
                {
                    "machines": cell.machines,
                    "overlap": cell.overlap,
                    "blocks": cell.blocks,
                    "rates": {name: statistics.median(each) for name, each in rates.items()},
                    "to_autoencoder": _ratio(rates["now"], rates["autoencoder"]),
                    "to_before": _ratio(rates["now"], rates.get("before", rates["now"])),
                }
            )
    for name, tree in trees.items():
        with RoundChild("scoring", tree) as child:
            _rate(child, Cell(64, "75 %", LIVE_BLOCK_S))
            found["memory_mb"][name] = child.ask("")
    return found, _text(found)


def _in_turn(names: list[str], number_of_round: int) -> list[str]:
    first = number_of_round % len(names)
    return names[first:] + names[:first]


def _rate(child: RoundChild, cell: Cell) -> float:
    seconds = SOUND_S[cell.machines]
    line = json.dumps([cell.machines, HOP_FRAMES[cell.overlap], cell.block_s, seconds])
    # whole blocks only
    scored_s = round(seconds / cell.block_s) * cell.block_s
    return cell.machines * scored_s / child.ask(line)


def _ratio(rates: list[float], others: list[float]) -> float:
    return statistics.median(rate / other for rate, other in zip(rates, others, strict=True))


def _hop_s(overlap: str) -> float:
    return FrontEnd(hop_frames=HOP_FRAMES[overlap]).hop_s


def _text(found: dict[str, Any]) -> str:
    rows = []
    for cell in found["cells"]:
        rates = cell["rates"]
        has_before = "before" in rates
        rows.append(
            [
                f"{cell['machines']}",
                cell["overlap"],
                cell["blocks"],
                number(rates["before"]) if has_before else "",
                number(rates["now"]),
                f"{cell['to_before']:.2f}" if has_before else "",
                number(rates["autoencoder"]),
                f"{cell['to_autoencoder']:.2f}",
            ]
        )
    head = ["machines", "overlap", "blocks of", "before: mic-s / CPU-s", "now", "now / before"]
    memory = [f"{name} {number(size)} MB" for name, size in found["memory_mb"].items()]
    return (
        table([*head, "autoencoder", "now / autoencoder"], rows)
        + f"\nLargest resident memory of 64 machines while scoring: {', '.join(memory)}.\n"
    )
