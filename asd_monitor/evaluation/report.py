"""The report of an evaluation, as a page that needs nothing but itself."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from asd_monitor import __version__
from asd_monitor.training.page import figures, meter, page, paragraph, section, table
from asd_monitor.training.wording import count

if TYPE_CHECKING:
    from asd_monitor.evaluation.results import MachineResult, Results

WIDTH, LEFT, ROW = 920, 120, 24
FUSED = "fused"


def report_html(results: Results, *, sound: bool = True) -> str:
    """Return the page."""
    del sound
    mean = results.mean()
    clips = sum(len(result.machine.test) for result in results.machines)
    parts = [
        figures(
            [
                (f"{mean.auc:.3f}", "mean AUC: over ids, then over types", ""),
                (f"{mean.pauc:.3f}", "mean partial AUC (false positives up to 0.1)", ""),
                (
                    count(len(results.machines), "machine"),
                    f"of {count(len(results.types), 'type')}, {count(clips, 'test clip')}",
                    "",
                ),
            ]
        ),
        _machines(results),
        _clips(results),
        _views(results),
    ]
    return page(
        f"Evaluation by the rules of DCASE {results.rules}",
        f"One model an id, trained on its own normal clips; asd-monitor {__version__}",
        parts,
    )


def _machines(results: Results) -> str:
    rows = []
    for kind in results.types:
        areas = results.of_type(kind)
        rows.append(
            [
                f"<b>{escape(kind)}</b>",
                meter(areas.auc, 0.5, 1.0),
                f"<b>{areas.auc:.3f}</b>",
                f"<b>{areas.pauc:.3f}</b>",
                "",
            ]
        )
        for result in results.machines:
            if result.machine.type == kind:
                areas = result.figures()
                rows.append(
                    [
                        escape(result.machine.id),
                        meter(areas.auc, 0.5, 1.0),
                        f"{areas.auc:.3f}",
                        f"{areas.pauc:.3f}",
                        f"{result.train_s:.0f} s",
                    ]
                )
    head = ["machine", "", "AUC", "pAUC", "trained on"]
    return section(
        "Machines",
        paragraph("The tick is chance. Few clips make an id's figures move in large steps."),
        table(head, rows, numbers=(2, 3, 4)),
    )


def _clips(results: Results) -> str:
    highest = max(max(result.scores[FUSED]) for result in results.machines) * 1.03 or 1.0
    height = ROW * len(results.machines) + 34
    rows = [_row(result, number, highest) for number, result in enumerate(results.machines)]
    axis = "".join(
        f'<text class="tick" x="{LEFT + (WIDTH - LEFT - 20) * k / 5:.1f}" y="{height - 8}" '
        f'text-anchor="middle">{highest * k / 5:.1f}</text>'
        for k in range(6)
    )
    return section(
        "Every test clip",
        '<p class="soft"><span class="key quiet"></span>normal'
        '<span class="key mark"></span>anomalous: its fused score</p>',
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="scores of all test clips">'
        f"{''.join(rows)}{axis}</svg>",
    )


def _row(result: MachineResult, number: int, highest: float) -> str:
    y = ROW * number + ROW / 2 + 2
    marks = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 20}" y1="{y}" y2="{y}"/>'
        f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(result.machine.name)}</text>'
    ]
    for clip, score in zip(result.machine.test, result.scores[FUSED], strict=True):
        x = LEFT + (WIDTH - LEFT - 20) * score / highest
        title = f"<title>{escape(clip.path.name)}: {score:.3f}</title>"
        marks.append(
            f'<circle class="mark" cx="{x:.1f}" cy="{y - 4}" r="4">{title}</circle>'
            if clip.anomalous
            else f'<circle class="calm" cx="{x:.1f}" cy="{y + 4}" r="4">{title}</circle>'
        )
    return "".join(marks)


def _views(results: Results) -> str:
    rows = []
    for view in (FUSED, *results.views):
        areas = results.mean(view)
        cells = [f"{results.of_type(kind, view).auc:.3f}" for kind in results.types]
        cells = [escape(view), *cells, f"{areas.auc:.3f}", f"{areas.pauc:.3f}"]
        rows.append([f"<b>{cell}</b>" for cell in cells] if view == FUSED else cells)
    head = ["view", *map(escape, results.types), "mean AUC", "mean pAUC"]
    return section("AUC by each view alone", table(head, rows, numbers=tuple(range(1, len(head)))))
