"""The folders of a box with models, alarms, commissioning and evidence, and what is in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.backup.sources import BoxFolders
from asd_monitor.commissioning.blocks import Layout, LiveBlock
from asd_monitor.commissioning.schedule import Progress
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.daemon.evidence_history import EvidenceHistory
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import save_bundle
from tests.doubles.bundled_detector import bundle_detector
from tests.doubles.journalled_machine import (
    LATER,
    NOW,
    RAISED,
    acknowledge,
    apply_requests,
)
from tests.doubles.microphone_spectra import SHAPE_DB, baseline_of, piece_of

LAYOUT = Layout([("spectrum", 8)])
PROGRESS = Progress("a" * 64, "v1", 1.7e9, 7200.0, refits=1)
SECRET = "correct horse"  # noqa: S105 - looked for in archives


@dataclass(frozen=True)
class FilledBox:
    """A box: its folders, its configuration, and a password file beside it."""

    folders: BoxFolders
    password: Path

    @property
    def models(self) -> Path:
        return self.folders.models

    @property
    def state(self) -> Path:
        return self.folders.state


def fill_box(folder: Path, *, models_in_state: bool = False) -> FilledBox:
    """Write a box with two models, an acknowledged alarm, and commissioning under way."""
    state = folder / "state"
    models = state / "models" if models_in_state else folder / "models"
    detector = replace(bundle_detector(), microphone=baseline_of([piece_of(SHAPE_DB)]))
    save_bundle(models, "fan01", detector, {"trained": "first"}, {"report.html": "<p>"})
    save_bundle(models, "fan01", bundle_detector(), {"trained": "second"}, {})
    add_alarm(state, "fan01")
    acknowledge(state)
    with Journal(state) as journal:
        apply_requests(MachineJournal(journal, "fan01"), LATER)
    store = CommissioningStore(state / "commissioning" / "fan01")
    store.begin(PROGRESS)
    store.write(PROGRESS, [live_block()], key="16 kHz", layout=LAYOUT)
    sound = store.folder / "sound" / "20261123T044500Z.flac"
    sound.parent.mkdir()
    sound.write_bytes(b"fLaC" + bytes(700))
    EvidenceHistory(state, "fan01").save(
        "0f" * 32, [BlockMean(0, 0.5)], sample_0_s=1.7e9, rate_hz=16_000
    )
    password = state / "broker.secret"
    password.write_text(SECRET)
    config = folder / "hall.yaml"
    config.write_text(
        "version: 1\nbox: edge-07\n"
        f"mqtt: {{username: asd, password_file: {password}}}\n"
        'machines: {fan01: {device: "hw:1"}}\n'
    )
    return FilledBox(BoxFolders(models, state, config), password)


def add_alarm(state: Path, machine: str) -> None:
    """Write an alarm of a machine to the journal, as a daemon that then stops."""
    with Journal(state) as journal:
        MachineJournal(journal, machine).record(RAISED, NOW, "v1")


def live_block() -> LiveBlock:
    rng = np.random.default_rng(3)
    return LiveBlock(
        time_s=1.7e9,
        age_s=20.0,
        alarm_active=False,
        level_dbfs=-30.0,
        starts_s=np.arange(5, dtype=np.float32),
        levels_dbfs=np.full(5, -30, np.float32),
        vectors=rng.random((5, LAYOUT.size)).astype(np.float16),
    )


def contents_of(folder: Path) -> dict[str, object]:
    """Return what is in a folder: the rows of each database, the bytes of each other file."""
    return {
        str(path.relative_to(folder)): _rows(path) if path.suffix == ".db" else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.endswith(("-wal", "-shm", "-seq"))
        and path.name not in {"daemon.lock", "broker.secret"}
    }


def _rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return list(database.iterdump())
