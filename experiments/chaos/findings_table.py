"""The table of what was measured of all faults, of one run or before and after a change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from experiments.chaos.results import Result
from experiments.chaos.scenario import Findings
from experiments.markdown import table

HEAD = (
    "fault",
    "times",
    "seen within",
    "recovered within",
    "samples lost (counted, true)",
    "events never acknowledged",
    "duplicates, equal id",
    "duplicates, another id",
)
NOT_MEASURED = "–"
NOT_INJECTED = "not injected"


def report(results: Iterable[Result]) -> str:
    """Return the table, and below it problems and notes."""
    found = list(results)
    text = table(HEAD, [(each.fault, *_cells(each.findings)) for each in found])
    return text + _problems_and_notes(found)


def comparison(before: Sequence[Result], after: Sequence[Result]) -> str:
    """Return one table with both values of each cell where they differ, then problems and notes."""
    old, new = ({each.name: each for each in results} for results in (before, after))
    rows = []
    for name in [*old, *(name for name in new if name not in old)]:
        named = new.get(name) or old[name]
        cells = (_cells_of(results.get(name)) for results in (old, new))
        rows.append((named.fault, *(_both(one, other) for one, other in zip(*cells, strict=True))))
    text = table((HEAD[0], *(f"{column}, before → after" for column in HEAD[1:])), rows)
    return text + _problems_and_notes(before, " before") + _problems_and_notes(after, " after")


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _cells_of(result: Result | None) -> tuple[str, ...]:
    if result is None:
        return (NOT_INJECTED, *[NOT_MEASURED] * (len(HEAD) - 2))
    return _cells(result.findings)


def _cells(findings: Findings) -> tuple[str, ...]:
    """Return the cells after the name of the fault."""
    loss = NOT_MEASURED
    if findings.loss is not None:
        relation = "≈" if findings.loss.is_right else "≠"
        loss = f"{findings.loss.counted} {relation} {findings.loss.true}"
    counts = (findings.unacknowledged, findings.equal_id, findings.other_id)
    return (
        str(findings.times),
        _longest(findings.seen_s),
        _longest(findings.recovered_s),
        loss,
        *(NOT_MEASURED if number is None else str(number) for number in counts),
    )


def _longest(seconds: Sequence[float]) -> str:
    if not seconds:
        return NOT_MEASURED
    longest = max(seconds)
    return "never" if math.isinf(longest) else f"{longest:.1f} s"


def _problems_and_notes(results: Sequence[Result], when: str = "") -> str:
    problems = [(each.name, line) for each in results for line in each.findings.problems]
    notes = [(each.name, line) for each in results for line in each.findings.notes]
    return _lines(f"Problems{when}", problems) + _lines(f"Notes{when}", notes)


def _lines(title: str, lines: Sequence[tuple[str, str]]) -> str:
    if not lines:
        return ""
    return f"\n{title}:\n\n" + "".join(f"- {name}: {line}\n" for name, line in lines)
