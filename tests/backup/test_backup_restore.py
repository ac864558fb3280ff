"""Backups that are restored: the content, its permissions, and what was there before."""

from __future__ import annotations

import shutil
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from asd_monitor.backup.sources import BoxFolders
from asd_monitor.backup.writing import write_backup
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.journal.commands import read_journal
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import load_bundle
from tests.backup.conftest import NOW, restore
from tests.doubles.filled_box import FilledBox, add_alarm, contents_of, fill_box
from tests.doubles.journalled_machine import (
    JournalledMachine,
    acknowledgement,
    apply_requests,
    state_transition,
)


def test_a_restored_box_is_the_one_that_was_backed_up(
    filled: FilledBox, written: Path, tmp_path: Path
) -> None:
    folders = BoxFolders(tmp_path / "models", tmp_path / "state", tmp_path / "new.yaml")
    restored = restore(written, folders)
    assert [(each.root, each.before) for each in restored] == [
        ("models", None),
        ("state", None),
        ("config", None),
    ]
    assert contents_of(folders.models) == contents_of(filled.models)
    assert contents_of(folders.state) == contents_of(filled.state)
    assert (tmp_path / "new.yaml").read_bytes() == (filled.folders.config or Path()).read_bytes()
    before, after = read_journal(filled.state), read_journal(folders.state)
    assert before is not None
    assert after is not None
    assert after.alarms == before.alarms
    assert after.alarms[0].who == "ann"
    stores = [
        CommissioningStore(state / "commissioning/fan01") for state in (filled.state, folders.state)
    ]
    assert stores[0].progress() == stores[1].progress()
    assert stores[0].blocks()[0].vectors.tobytes() == stores[1].blocks()[0].vectors.tobytes()
    one, other = (load_bundle(models, "fan01") for models in (filled.models, folders.models))
    assert (one.version, one.sha256) == (other.version, other.sha256)


def record(journal: Journal, events: int) -> list[int]:
    """Record state transitions; return the numbers with which they are published."""
    for _ in range(events):
        MachineJournal(journal, "fan01").record(state_transition(), NOW, "v1")
    return [each.event.seq or 0 for each in journal.outbox.take("fan01", 10_000)]


def test_events_after_a_restore_have_numbers_above_those_published_since_the_backup(
    own: FilledBox, tmp_path: Path
) -> None:
    with Journal(own.state) as journal:
        before = record(journal, 2)
        write_backup(tmp_path / "box.tar", own.folders, box="edge", now=NOW)
        published = record(journal, 300)
    restore(tmp_path / "box.tar", own.folders)
    with Journal(own.state) as journal:
        *again, first = record(journal, 1)
    assert again == before
    assert first > max(published) + 1_000_000
    with Journal(own.state) as journal:
        assert record(journal, 1)[-1] == first + 1, "restored once more"


def test_a_restored_box_knows_what_was_asked_and_which_machines_are_out_of_service(
    own: FilledBox, tmp_path: Path
) -> None:
    with Journal(own.state) as journal:
        fan = MachineJournal(journal, "fan01")
        journal.requests.add(Request(Verb.OUT_OF_SERVICE, "fan01", "ann", NOW, why="belt"))
        apply_requests(fan, NOW)
        journal.requests.add(Request(Verb.IN_SERVICE, "fan01", "bob", NOW))
        write_backup(tmp_path / "box.tar", own.folders, box="edge", now=NOW)
        apply_requests(fan, NOW)
        assert journal.out_of_service("fan01") is None
    restore(tmp_path / "box.tar", own.folders)
    with Journal(own.state) as journal:
        fan = MachineJournal(journal, "fan01")
        assert fan.out_of_service is not None
        assert (fan.out_of_service.who, fan.out_of_service.why) == ("ann", "belt")
        assert [event.who for event in apply_requests(fan, NOW) if event.alarm_id is None] == [
            "bob"
        ]
        assert fan.out_of_service is None


def test_a_restored_box_has_its_shelves_and_ends_those_whose_time_is_over(
    own: FilledBox, tmp_path: Path
) -> None:
    with Journal(own.state) as journal:
        fan = JournalledMachine(journal)
        fan.play(8.0, 10)
        newest = fan.machine.newest
        assert newest is not None
        end = fan.now + timedelta(hours=2)
        shelve = acknowledgement(newest.id, time=fan.now)
        until = {"until": end.isoformat()}
        journal.requests.add(replace(shelve, verb=Verb.SHELVE, arguments=until))
        assert fan.apply() == ["acknowledged→shelved"]
        write_backup(tmp_path / "box.tar", own.folders, box="edge", now=NOW)
        journal.requests.add(replace(shelve, verb=Verb.UNSHELVE, id="later"))
        assert fan.apply() == ["shelved→acknowledged"]
    restore(tmp_path / "box.tar", own.folders)
    with Journal(own.state) as journal:
        fan = JournalledMachine(journal)
        newest = fan.machine.newest
        assert newest is not None
        assert (newest.shelved, newest.shelved_until) == (True, end)
        fan.now = end
        assert fan.expire() == ["shelved→unacknowledged"]


def test_files_are_private(written: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    restore(written, BoxFolders(tmp_path / "box/models", tmp_path / "box/state"))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "box").rglob("*")}
    assert modes == {0o600, 0o700}


def test_what_was_there_is_kept_beside(own: FilledBox, written: Path) -> None:
    add_alarm(own.state, "pump02")
    old_models, old_state = contents_of(own.models), contents_of(own.state)
    (own.folders.config or Path()).write_text("old")
    models, state, config = restore(written, own.folders)
    assert contents_of(models.before or Path()) == old_models
    assert contents_of(state.before or Path()) == old_state
    assert (config.before or Path()).read_text() == "old"
    assert contents_of(own.state) != old_state
    assert not list(own.state.parent.glob(".*"))


def test_models_in_the_state_folder_are_restored_with_it(tmp_path: Path) -> None:
    box = fill_box(tmp_path / "box", models_in_state=True)
    done = write_backup(tmp_path / "x.tar", box.folders, box="edge", now=NOW)
    names = [member.name for member in done.contents.members]
    assert "models/fan01/current" in names
    assert not [name for name in names if name.startswith("state/models")]
    before = contents_of(box.state)
    add_alarm(box.state, "pump02")
    shutil.rmtree(box.models / "fan01")
    state, models = restore(tmp_path / "x.tar", BoxFolders(box.models, box.state))
    assert contents_of(box.state) == before
    assert state.before == models.before is not None
    assert load_bundle(box.models, "fan01").version == "v2"
