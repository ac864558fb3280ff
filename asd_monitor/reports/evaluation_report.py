"""The report of an evaluation by the rules of DCASE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from asd_monitor import __version__
from asd_monitor.evaluation.clip_names import Domain
from asd_monitor.evaluation.dcase_rules import Figures
from asd_monitor.evaluation.results import AUTOENCODER, FUSED, STATISTICS, MachineResult, Results
from asd_monitor.reports.evaluation_charts import RocCurve, roc_chart, score_histogram
from asd_monitor.reports.misjudged_clips import (
    MisjudgedClip,
    playable,
    read_clip,
    spectrogram,
    worst_clips,
)
from asd_monitor.reports.notices import evaluation_notices
from asd_monitor.reports.page import KeyFigure, Meter, render
from asd_monitor.wording import count

_CHANCE = 0.5
_DESCRIPTIONS = {
    FUSED: "all views together, the published score",
    STATISTICS: "the views without a network, fused in the same way",
    AUTOENCODER: "the challenge's baseline, one for each machine type, trained on the same clips",
}


@dataclass(frozen=True, slots=True)
class FigureRow:
    """Figures of one machine, score or view."""

    name: str
    meter: Meter
    cells: Sequence[str]
    is_mean: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class FigureTable:
    """A table of figures, with a bar in front of each row."""

    first_column: str
    columns: Sequence[str]
    rows: Sequence[FigureRow]


@dataclass(frozen=True, slots=True)
class MachineCharts:
    """The charts of one machine."""

    name: str
    figures: str
    roc: Markup
    scores: Markup


@dataclass(frozen=True, slots=True)
class ClipCard:
    """A misjudged clip; picture and sound are data URLs."""

    name: str
    score: float
    relative_score: float  # score over threshold
    picture: str
    sound: str | None


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationPage:
    """What the template ``evaluation_report.html`` shows."""

    title: str
    subtitle: str
    key_figures: Sequence[KeyFigure]
    type_figure: str
    descriptions: Mapping[str, str]
    comparison: FigureTable
    machines: FigureTable
    has_domains: bool
    charts: Sequence[MachineCharts]
    false_alarms: Sequence[ClipCard]
    missed_faults: Sequence[ClipCard]
    has_sound: bool
    notices: Sequence[str]


def report_html(results: Results, *, sound: bool = True) -> str:
    """Return the report as an HTML page; without ``sound`` it contains no recording.

    Raises:
        UsageError: a clip cannot be read any more.
        OperationError: no permission.

    """
    return render("evaluation_report.html", evaluation_page(results, sound=sound))


def evaluation_page(results: Results, *, sound: bool = True) -> EvaluationPage:
    """Return the view model of the report.  Raises as `report_html`."""
    unit = "section" if results.rules.has_domains else "id"
    return EvaluationPage(
        title=f"Evaluation by the rules of DCASE {results.rules}",
        subtitle=f"One model per {unit}, regime {results.regime}; asd-monitor {__version__}",
        key_figures=_key_figures(results),
        type_figure="official score" if results.rules.has_domains else "AUC",
        descriptions={
            name: text
            for name, text in _DESCRIPTIONS.items()
            if name in {FUSED, *results.baselines}
        },
        comparison=_comparison(results),
        machines=_machines(results),
        has_domains=results.rules.has_domains,
        charts=[_machine_charts(result) for result in results.machines],
        false_alarms=_cards(worst_clips(results.machines, anomalous=False), sound=sound),
        missed_faults=_cards(worst_clips(results.machines, anomalous=True), sound=sound),
        has_sound=sound,
        notices=evaluation_notices(results),
    )


def _key_figures(results: Results) -> list[KeyFigure]:
    mean = results.mean()
    if mean.official is None:
        entries = [
            KeyFigure(f"{mean.auc:.3f}", "mean AUC, over ids and then over types"),
            KeyFigure(f"{mean.pauc:.3f}", "mean partial AUC (false positive rates up to 0.1)"),
        ]
    else:
        entries = [
            KeyFigure(f"{mean.official:.3f}", "official score: harmonic mean of all figures"),
            KeyFigure(f"{mean.auc_source:.3f}", "AUC, source domain"),
            KeyFigure(f"{mean.auc_target:.3f}", "AUC, target domain"),
            KeyFigure(f"{mean.pauc:.3f}", "partial AUC (false positive rates up to 0.1)"),
        ]
    if AUTOENCODER in results.baselines:
        baseline = results.mean(AUTOENCODER).score
        gain = mean.score - baseline
        entries.append(
            KeyFigure(
                f"{gain:+.3f}",
                f"against the baseline's {baseline:.3f}",
                "good" if gain > 0 else "bad",
            )
        )
    clips = sum(len(result.machine.test) for result in results.machines)
    entries.append(
        KeyFigure(
            count(len(results.machines), "machine"),
            f"of {count(len(results.types), 'type')}, {count(clips, 'test clip')}",
        )
    )
    return entries


def _cells(figures: Figures) -> list[str]:
    return [f"{value:.3f}" for value in figures.by_column().values()]


def _meter(figures: Figures) -> Meter:
    return Meter.of(figures.score, mark=_CHANCE, full=1.0)


def _comparison(results: Results) -> FigureTable:
    rows = []
    for name in (FUSED, *results.baselines, *results.views):
        figures = results.mean(name)
        of_types = [f"{results.of_type(kind, name).score:.3f}" for kind in results.types]
        rows.append(
            FigureRow(
                name,
                _meter(figures),
                [*_cells(figures), *of_types],
                is_mean=name == FUSED,
                description=_DESCRIPTIONS.get(name, ""),
            )
        )
    return FigureTable("", [*results.mean().by_column(), *results.types], rows)


def _machines(results: Results) -> FigureTable:
    rows = []
    for kind in results.types:
        of_kind = [result for result in results.machines if result.machine.type == kind]
        several = len(of_kind) > 1
        if several:
            mean = results.of_type(kind)
            rows.append(FigureRow(kind, _meter(mean), [*_cells(mean), ""], is_mean=True))
        for result in of_kind:
            figures = result.figures()
            name = result.machine.id if several else result.machine.name
            cells = [*_cells(figures), f"{result.train_s:.0f} s"]
            rows.append(FigureRow(name, _meter(figures), cells))
    return FigureTable("machine", [*results.mean().by_column(), "trained on"], rows)


def _machine_charts(result: MachineResult) -> MachineCharts:
    normal, anomalous = (
        [
            score
            for clip, score in zip(result.machine.test, result.scores[FUSED], strict=True)
            if clip.anomalous is label
        ]
        for label in (False, True)
    )
    figures = result.figures().by_column()
    return MachineCharts(
        result.machine.name,
        ", ".join(f"{name} {value:.3f}" for name, value in figures.items()),
        roc_chart(_roc_curves(result)),
        score_histogram(normal, anomalous, result.threshold),
    )


def _roc_curves(result: MachineResult) -> list[RocCurve]:
    scored = list(zip(result.machine.test, result.scores[FUSED], strict=True))
    parts: list[tuple[str, str, Domain | None]] = [("all clips", "score", None)]
    if result.rules.has_domains:
        parts = [("source", "score", Domain.SOURCE), ("target", "target", Domain.TARGET)]
    curves = []
    for name, style, domain in parts:
        chosen = [
            (clip.anomalous, score)
            for clip, score in scored
            if domain in (None, clip.domain)
            or (clip.anomalous and not result.rules.splits_anomalies)
        ]
        labels, scores = [label for label, _ in chosen], [score for _, score in chosen]
        curves.append(RocCurve(name, style, labels, scores))
    return curves


def _cards(clips: Iterable[MisjudgedClip], *, sound: bool) -> list[ClipCard]:
    cards = []
    for each in clips:
        machine = each.result.machine
        rate_hz, samples = read_clip(each.clip.path, machine.channel)
        cards.append(
            ClipCard(
                f"{machine.name}, {each.clip.path.name}",
                each.score,
                each.relative_score,
                spectrogram(samples, rate_hz),
                playable(samples, rate_hz) if sound else None,
            )
        )
    return cards
