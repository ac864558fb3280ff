"""Sound that was marked as normal, in a bundle: ``marked.npz``, in the form of its reference.

The key ``marked`` of the manifest lists the spans, each with the number of its pieces, in the order
in which the pieces are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asd_monitor.features.windows import Window
from asd_monitor.model_store.bundle import Bundle, load_reference
from asd_monitor.model_store.manifest import MARKED
from asd_monitor.model_store.reference_file import StoredReference
from asd_monitor.model_store.versions import BundleError, damage_remedy
from asd_monitor.records import NormalSpan, WithdrawnMark
from asd_monitor.wording import rfc3339


@dataclass(frozen=True, slots=True, eq=False)
class MarkedPiece:
    """Windows of sound without a gap, at most ten seconds, that do not overlap."""

    span_id: str
    time_s: float  # Unix time of its start
    windows: tuple[Window, ...]  # samples count from the start, at the rate of the front end


def marked_spans(bundle: Bundle) -> list[NormalSpan]:
    """Return the spans with whose sound a version was extended."""
    return [
        NormalSpan(
            id=entry["id"],
            machine=bundle.machine,
            begin=datetime.fromisoformat(entry["begin"]),
            end=datetime.fromisoformat(entry["end"]),
            who=entry["who"],
            why=entry["why"],
            time=datetime.fromisoformat(entry["time"]),
            alarm_id=entry["alarm_id"],
        )
        for entry in bundle.manifest.get("marked") or []
    ]


def standing_spans(
    bundle: Bundle, journalled: Sequence[NormalSpan], withdrawn: Sequence[WithdrawnMark]
) -> tuple[list[NormalSpan], list[NormalSpan]]:
    """Return the spans that are marked as normal, and those of them that only a version has.

    What a version was extended with stays until its withdrawal is recorded: a journal may be lost.

    Args:
        bundle: the version.
        journalled: the marks in the journal.
        withdrawn: the withdrawals in the journal.

    """
    ids = {span.id for span in journalled}
    own = [
        span
        for span in marked_spans(bundle)
        if span.id not in ids
        and not any(each.alarm_id == span.alarm_id and each.time >= span.time for each in withdrawn)
    ]
    return [*own, *journalled], own


def load_marked(models: Path, bundle: Bundle) -> list[MarkedPiece]:
    """Return the marked sound that a version was extended with; none for most.

    Raises:
        BundleError: it is damaged.

    """
    entries: Sequence[Mapping[str, Any]] = bundle.manifest.get("marked") or []
    if not entries or MARKED not in bundle.manifest["files"]:
        return []
    pieces = load_reference(models, bundle, MARKED).segment_windows()
    ids = [entry["id"] for entry in entries for _ in range(entry["pieces"])]
    if len(ids) != len(pieces):
        raise BundleError(
            f"{models / bundle.machine / bundle.version} is damaged ({MARKED} has {len(pieces)} "
            f"pieces): {damage_remedy(models, bundle.machine, bundle.version)}"
        )
    begin_s = datetime.fromisoformat(entries[0]["since"]).timestamp()
    return [
        MarkedPiece(id_, begin_s + time_s, tuple(windows))
        for id_, (time_s, windows) in zip(ids, pieces, strict=True)
    ]


def marked_content(
    spans: Sequence[NormalSpan], pieces: Sequence[MarkedPiece]
) -> tuple[list[dict[str, Any]], bytes]:
    """Return the entry of the manifest and the content of the file; one piece at least."""
    begin_s = min(piece.time_s for piece in pieces)
    since = rfc3339(datetime.fromtimestamp(begin_s, UTC))
    begin_s = datetime.fromisoformat(since).timestamp()
    own = {span.id: [each for each in pieces if each.span_id == span.id] for span in spans}
    entries = [
        {
            "id": span.id,
            "begin": rfc3339(span.begin),
            "end": rfc3339(span.end),
            "alarm_id": span.alarm_id,
            "who": span.who,
            "why": span.why,
            "time": rfc3339(span.time),
            "since": since,
            "pieces": len(own[span.id]),
        }
        for span in spans
        if own[span.id]
    ]
    ordered = [piece for span in spans for piece in own[span.id]]
    stored = StoredReference.of(
        [piece.windows for piece in ordered], [piece.time_s - begin_s for piece in ordered]
    )
    return entries, stored.content()
