"""The report of an evaluation, as a page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from asd_monitor import __version__
from asd_monitor.evaluation.clip_names import Domain
from asd_monitor.evaluation.dcase_rules import Figures
from asd_monitor.evaluation.results import AUTOENCODER, FUSED, STATISTICS
from asd_monitor.reports.misjudged_clips import (
    Misjudged,
    playable,
    read_clip,
    spectrogram,
    worst_clips,
)
from asd_monitor.reports.page import bullets, figures, meter, page, paragraph, section, table
from asd_monitor.reports.score_charts import Curve, roc_chart, score_histogram
from asd_monitor.wording import count

if TYPE_CHECKING:
    from asd_monitor.evaluation.results import MachineResult, Results

STYLE = """<style>
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(430px, 1fr));
  gap: 6px 28px; }
.small h3 { font-size: .95rem; margin: 12px 0 0; font-weight: 600; }
.small h3 span { font-weight: 400; color: var(--soft); margin-left: 8px; }
.pair { display: grid; grid-template-columns: 212fr 330fr; }
.pair svg, .clip svg { min-width: 0; }
.small polyline { stroke-width: 1.8; } .target { stroke: var(--warn); }
rect.mark { fill: var(--warn); } rect.calm { fill: var(--accent); }
.key.target { background: var(--warn); height: 3px; }
.key.block { width: 10px; height: 10px; border-radius: 2px; }
.key.calm { background: var(--accent); }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 16px; }
.clip img { display: block; width: 100%; height: 130px; border-radius: 6px; }
.clip p { margin: 0 0 4px; font-size: .9rem; overflow-wrap: anywhere; }
.clip audio { width: 100%; height: 34px; margin-top: 6px; }
.clip b { font-variant-numeric: tabular-nums; }
@media (max-width: 560px) { .small { grid-template-columns: 1fr; } }
</style>"""
ABOUT = {
    FUSED: "all views together: what is published as the score",
    STATISTICS: "the views that are no network, fused in the same way",
    AUTOENCODER: "the baseline of the challenge, trained on the same clips, one a type",
}


def report_html(results: Results, *, sound: bool = True) -> str:
    """Return the page; without ``sound`` it has no recording in it.

    Raises:
        UsageError: a clip cannot be read any more.
        OperationError: no permission.

    """
    unit = "a section" if results.rules.has_domains else "an id"
    parts = [
        STYLE,
        _key_figures(results),
        _compared(results),
        _machines(results),
        _curves(results),
        _worst(results, anomalous=False, sound=sound),
        _worst(results, anomalous=True, sound=sound),
    ]
    if results.notices:
        parts.append(section("Noticed", bullets(results.notices)))
    return page(
        f"Evaluation by the rules of DCASE {results.rules}",
        f"One model {unit}, regime {results.regime}; asd-monitor {__version__}",
        parts,
    )


def _key_figures(results: Results) -> str:
    mean = results.mean()
    clips = sum(len(result.machine.test) for result in results.machines)
    entries = [
        (f"{mean.auc:.3f}", "mean AUC: over ids, then over types", ""),
        (f"{mean.pauc:.3f}", "mean partial AUC (false positives up to 0.1)", ""),
    ]
    if mean.official is not None:
        entries = [
            (f"{mean.official:.3f}", "official score: harmonic mean of all figures", ""),
            (f"{mean.auc_source:.3f}", "AUC, source domain", ""),
            (f"{mean.auc_target:.3f}", "AUC, target domain", ""),
            (f"{mean.pauc:.3f}", "partial AUC (false positives up to 0.1)", ""),
        ]
    if AUTOENCODER in results.baselines:
        other = results.mean(AUTOENCODER)
        gain = mean.score - other.score
        entries.append(
            (
                f"{gain:+.3f}",
                f"against the baseline's {other.score:.3f}",
                "good" if gain > 0 else "bad",
            )
        )
    machines = count(len(results.machines), "machine")
    entries.append(
        (machines, f"of {count(len(results.types), 'type')}, {count(clips, 'test clip')}", "")
    )
    return figures(entries)


def _columns(measured: Figures) -> dict[str, float]:
    told = measured.to_json()
    if measured.official is None:
        return {"AUC": told["auc"], "pAUC": told["pauc"]}
    return {
        "AUC source": told["auc_source"],
        "AUC target": told["auc_target"],
        "pAUC": told["pauc"],
        "official": told["official"],
    }


def _cells(measured: Figures) -> list[str]:
    return [f"{value:.3f}" for value in _columns(measured).values()]


def _compared(results: Results) -> str:
    rows = []
    for name in (FUSED, *results.baselines, *results.views):
        measured = results.mean(name)
        cells = [f"{results.of_type(kind, name).score:.3f}" for kind in results.types]
        title = f'<span title="{escape(ABOUT.get(name, ""))}">{escape(name)}</span>'
        cells = [title, meter(measured.score, 0.5, 1.0), *_cells(measured), *cells]
        rows.append([f"<b>{cell}</b>" for cell in cells] if name == FUSED else cells)
    columns = [*_columns(results.mean()), *map(escape, results.types)]
    what = "official score" if results.rules.has_domains else "AUC"
    told = [
        f"{name}: {about}" for name, about in ABOUT.items() if name in {FUSED, *results.baselines}
    ]
    return section(
        "Fused score, baselines, each view alone",
        paragraph(f"The tick is chance; columns of types have the {what}. {'; '.join(told)}."),
        table(["", "", *columns], rows, numbers=range(2, 2 + len(columns))),
    )


def _machines(results: Results) -> str:
    rows = []
    for kind in results.types:
        those = [result for result in results.machines if result.machine.type == kind]
        if len(those) > 1:
            measured = results.of_type(kind)
            cells = [escape(kind), meter(measured.score, 0.5, 1.0), *_cells(measured), ""]
            rows.append([f"<b>{cell}</b>" for cell in cells])
        for result in those:
            measured = result.figures()
            bar = meter(measured.score, 0.5, 1.0)
            name = result.machine.id if len(those) > 1 else result.machine.name
            rows.append([escape(name), bar, *_cells(measured), f"{result.train_s:.0f} s"])
    head = ["machine", "", *_columns(results.mean()), "trained on"]
    return section(
        "Machines",
        paragraph("Few clips make a machine's figures move in large steps."),
        table(head, rows, numbers=range(2, len(head))),
    )


def _curves(results: Results) -> str:
    domains = results.rules.has_domains
    keys = '<p class="soft">'
    if domains:
        keys += '<span class="key quiet"></span>source<span class="key target"></span>target'
    keys += (
        '<span class="key held"></span>zone of the partial AUC'
        '<span class="key block mark"></span>anomalous (up)'
        '<span class="key block calm"></span>normal (down); the dashed line is the threshold</p>'
    )
    cards = []
    for result in results.machines:
        normal, anomalous = (
            [
                score
                for clip, score in zip(result.machine.test, result.scores[FUSED], strict=True)
                if clip.anomalous is wrong
            ]
            for wrong in (False, True)
        )
        told = ", ".join(
            f"{name} {value:.3f}" for name, value in _columns(result.figures()).items()
        )
        cards.append(
            f"<div><h3>{escape(result.machine.name)}<span>{escape(told)}</span></h3>"
            f'<div class="pair">{roc_chart(_curves_of(result))}'
            f"{score_histogram(normal, anomalous, result.threshold)}</div></div>"
        )
    return section("Curves and scores", keys, f'<div class="small">{"".join(cards)}</div>')


def _curves_of(result: MachineResult) -> list[Curve]:
    scored = list(zip(result.machine.test, result.scores[FUSED], strict=True))
    parts: list[tuple[str, str, Domain | None]] = [("all clips", "quiet", None)]
    if result.rules.has_domains:
        parts = [("source", "quiet", Domain.SOURCE), ("target", "target", Domain.TARGET)]
    curves = []
    for name, style, domain in parts:
        kept = [
            (clip.anomalous, score)
            for clip, score in scored
            if domain in (None, clip.domain)
            or (clip.anomalous and not result.rules.splits_anomalies)
        ]
        curves.append(Curve(name, style, [wrong for wrong, _ in kept], [s for _, s in kept]))
    return curves


def _worst(results: Results, *, anomalous: bool, sound: bool) -> str:
    found = worst_clips(results.machines, anomalous=anomalous)
    what = "lowest scored anomalies" if anomalous else "highest scored normals"
    note = "Beside the score: how many times its machine's threshold it is."
    if sound:
        note += " To listen to, all are brought to one loudness."
    if sound and not anomalous:
        note += (
            " So this page holds recordings of the data set; --no-sound leaves them out where "
            "they may not be passed on."
        )
    return section(
        f"The {what}",
        paragraph(note),
        f'<div class="clips">{"".join(_clips(found, sound=sound))}</div>',
    )


def _clips(found: Iterable[Misjudged], *, sound: bool) -> Iterable[str]:
    for each in found:
        rate_hz, samples = read_clip(each.clip.path, each.result.machine.channel)
        told = f"{each.result.machine.name}, {each.clip.path.name}"
        player = ""
        if sound:
            address = playable(samples, rate_hz)
            player = f'<audio controls preload="none" src="{address}"></audio>'
        yield (
            f'<div class="clip"><p><b>{each.score:.2f}</b> '
            f'<span class="soft">({each.against_threshold:.2g} ×)</span> {escape(told)}</p>'
            f'<img src="{spectrogram(samples, rate_hz)}" alt="spectrogram of {escape(told)}">'
            f"{player}</div>"
        )
