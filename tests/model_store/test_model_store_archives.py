"""Archives of one version: complete or refused, with networks and labels; deletion of versions."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.archive_exchange import export_archive, import_archive, labels_beside
from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.catalogue import promote, rollback
from asd_monitor.model_store.deletion import delete_version
from asd_monitor.model_store.encoder_files import FOLDER
from asd_monitor.model_store.labels_file import LABELS, MachineLabels
from asd_monitor.model_store.manifest import FORMAT
from asd_monitor.model_store.versions import MANIFEST, current_version, versions
from asd_monitor.records import AlarmLabel, NormalSpan
from asd_monitor.sealed_json import sealed_json
from tests.doubles.bundle_files import edit_manifest
from tests.doubles.encoder_detector import encoder_detector, plain_detector

NOW = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)
LABEL = AlarmLabel("fan01-20261123T044500Z", NOW, "invalid", "new filter", "ann")
SPAN = NormalSpan("s1", "fan01", NOW, NOW, "ann", "new filter", NOW, LABEL.alarm_id)
SAID = MachineLabels("fan01", (LABEL,), (SPAN,))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    save_bundle(models, "fan01", encoder_detector(), {"trained": "today"}, {"report.html": "<p>"})
    return models


def archived(models: Path, tmp_path: Path, labels: MachineLabels = SAID) -> Path:
    file = tmp_path / "fan01.tar"
    export_archive(models, "fan01", None, file, labels=labels, now=NOW)
    return file


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_an_archive_is_imported_with_networks_and_labels(models: Path, tmp_path: Path) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    found = import_archive(there, file)
    assert (found.machine, found.version, found.is_new, found.in_use) == ("fan01", "v1", True, True)
    assert found.labels == SAID
    assert labels_beside(there, "fan01", "v1") == SAID
    assert len(load_bundle(there, "fan01").detector.encoders) == 2
    beside = {LABELS: sha256(SAID.content()).hexdigest()}
    assert hashes(there / "fan01/v1") == hashes(models / "fan01/v1") | beside
    assert sorted(path.name for path in there.iterdir()) == [FOLDER, "fan01"]
    again = import_archive(there, file)
    assert (again.version, again.is_new) == ("v1", False)
    # what came with a version goes on with it
    further = tmp_path / "further.tar"
    export_archive(there, "fan01", None, further, labels=MachineLabels("fan01"), now=NOW)
    assert import_archive(tmp_path / "third", further).labels == SAID


def test_labels_for_a_version_that_is_here_are_stored_only_where_it_has_none(
    models: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    plain = archived(models, tmp_path, MachineLabels("fan01"))
    assert import_archive(there, plain).has_labels
    plain.unlink()
    found = import_archive(there, archived(models, tmp_path))
    assert (found.is_new, found.has_labels) == (False, True)
    assert labels_beside(there, "fan01", "v1") == SAID
    (tmp_path / "fan01.tar").unlink()
    other = MachineLabels("fan01", (replace(LABEL, label="valid"),), (SPAN,))
    found = import_archive(there, archived(models, tmp_path, other))
    assert (found.labels, found.has_labels) == (other, False)
    assert labels_beside(there, "fan01", "v1") == SAID


def test_an_import_does_not_change_which_version_is_in_use(models: Path, tmp_path: Path) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    save_bundle(there, "fan01", plain_detector(), {}, {})
    for expected in (True, False):  # a second time nothing is added
        found = import_archive(there, file)
        assert (found.version, found.archived_version) == ("v2", "v1")
        assert (found.is_new, found.in_use) == (expected, False)
    current = current_version(there, "fan01")
    assert current is not None
    assert current.name == "v1"
    assert versions(there, "fan01") == ["v1", "v2"]


def test_an_existing_file_is_not_overwritten(models: Path, tmp_path: Path) -> None:
    (tmp_path / "fan01.tar").write_text("of the user")
    with pytest.raises(UsageError, match="exists already"):
        archived(models, tmp_path)
    assert (tmp_path / "fan01.tar").read_text() == "of the user"


def test_every_flipped_byte_of_an_archive_is_noticed(models: Path, tmp_path: Path) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    content = file.read_bytes()
    for at in range(0, len(content), max(1, len(content) // 60)):
        changed = bytearray(content)
        changed[at] ^= 1
        file.write_bytes(changed)
        with pytest.raises(UsageError, match="nothing was imported"):
            import_archive(there, file)
        assert list(there.iterdir()) == []


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_an_incomplete_archive_is_refused(models: Path, tmp_path: Path, size: int) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(UsageError, match="nothing was imported"):
        import_archive(there, file)
    assert list(there.iterdir()) == []


def rewritten(
    file: Path,
    change: Callable[[dict[str, bytes]], object],
    kind: bytes = b"0",
    **entries: str,
) -> None:
    """Write an archive anew, sealed, with other members, or other entries in its manifest."""
    with tarfile.open(file) as archive:
        members = {
            info.name: stream.read()
            for info in archive
            if (stream := archive.extractfile(info)) is not None
        }
    manifest = json.loads(members.pop("manifest.json"))
    first = members.pop("asd-monitor-model")
    change(members)
    manifest.pop("sha256")
    manifest |= entries
    manifest["members"] = [
        {"name": name, "bytes": len(content), "sha256": sha256(content).hexdigest()}
        for name, content in members.items()
    ]
    buffer = io.BytesIO()
    parts = {"asd-monitor-model": first, **members, "manifest.json": sealed_json(manifest)[0]}
    for name, content in parts.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(content), 0o600, 1
        if name not in ("asd-monitor-model", "manifest.json") and kind != b"0":
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0
        buffer.write(info.tobuf(tarfile.USTAR_FORMAT))
        buffer.write(content[: info.size] + bytes(-info.size % 512))
    file.write_bytes(buffer.getvalue() + bytes(1024))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model/../../escaped", "no part of a model"),
        ("/etc/cron.d/x", "no part of a model"),
        ("model/sub/x", "no part of a model"),
        ("networks/x.onnx", "no part of a model"),
        ("model/labels.json", "no part of a model"),
        ("current", "no part of a model"),
    ],
)
def test_a_member_that_is_no_part_of_a_model_is_refused(
    models: Path, tmp_path: Path, name: str, reason: str
) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    rewritten(file, lambda members: members.update({name: b"x"}))
    with pytest.raises(UsageError, match=reason):
        import_archive(there, file)
    assert list(there.iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_links_and_folders_are_refused(models: Path, tmp_path: Path, kind: bytes) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    rewritten(file, lambda _: None, kind)
    with pytest.raises(UsageError, match="no plain file"):
        import_archive(there, file)
    assert list(there.iterdir()) == []


def test_a_sealed_archive_with_another_model_inside_is_refused(
    models: Path, tmp_path: Path
) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    rewritten(file, lambda members: members.update({"model/views.npz": b"no arrays"}))
    with pytest.raises(UsageError, match=r"views\.npz was changed"):
        import_archive(there, file)
    assert list(there.iterdir()) == []


def test_a_model_of_an_older_format_is_refused_with_the_command_that_replaces_it(
    models: Path, tmp_path: Path
) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    folder = tmp_path / "old"
    shutil.copytree(models / "fan01/v1", folder)
    edit_manifest(folder, lambda manifest: manifest.update(format=FORMAT - 1))
    old = (folder / MANIFEST).read_bytes()
    rewritten(file, lambda members: members.update({"model/manifest.json": old}))
    with pytest.raises(UsageError, match="format 6") as refused:
        import_archive(there, file)
    assert f"asd-monitor train --machine fan01 --models {there} --normal PATH" in str(refused.value)
    assert ".partial" not in str(refused.value)
    assert list(there.iterdir()) == []


def test_a_refusal_does_not_name_the_model_in_place(models: Path, tmp_path: Path) -> None:
    file = archived(models, tmp_path)
    rewritten(file, lambda _: None, version="v2")
    with pytest.raises(UsageError, match="fan01/v2 is version v1 of fan01") as refused:
        import_archive(models, file)
    text = str(refused.value)
    assert str(models) not in text
    assert "rename" not in text
    assert "nothing was imported; use an archive" in text
    rewritten(file, lambda members: members.update({"model/views.npz": b"x"}), version="v1")
    with pytest.raises(UsageError, match=r"views\.npz") as refused:
        import_archive(models, file)
    assert str(models / "fan01") not in str(refused.value)


def test_a_model_of_a_reserved_id_is_refused(models: Path, tmp_path: Path) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    rewritten(file, lambda _: None, machine="box")
    with pytest.raises(UsageError, match="its machine 'box' is a reserved id"):
        import_archive(there, file)
    assert list(there.iterdir()) == []


def test_damaged_labels_are_refused(models: Path, tmp_path: Path) -> None:
    file, there = archived(models, tmp_path), tmp_path / "there"
    rewritten(file, lambda members: members.update({LABELS: b"{}"}))
    with pytest.raises(UsageError, match=r"labels\.json") as refused:
        import_archive(there, file)
    assert "delete it" not in str(refused.value)
    assert ".partial" not in str(refused.value)
    other = MachineLabels("pump02", SAID.labels).content()
    rewritten(file, lambda members: members.update({LABELS: other}))
    with pytest.raises(UsageError, match="labels are of pump02"):
        import_archive(there, file)
    assert list(there.iterdir()) == []


def test_a_version_that_is_needed_is_not_deleted(models: Path) -> None:
    for _ in range(3):
        save_bundle(models, "fan01", plain_detector(), {}, {})
    with pytest.raises(UsageError, match="v4 is in use"):
        delete_version(models, "fan01", "v4", anyway=False)
    with pytest.raises(UsageError, match="v3 is the version before v4"):
        delete_version(models, "fan01", "v3", anyway=False)
    delete_version(models, "fan01", "v2", anyway=False)
    assert versions(models, "fan01") == ["v1", "v3", "v4"]
    with pytest.raises(OperationError, match="has no version v2"):
        delete_version(models, "fan01", "v2", anyway=False)


def test_the_trained_model_of_the_one_in_use_is_needed(models: Path) -> None:
    first = load_bundle(models, "fan01")
    save_bundle(models, "fan01", plain_detector(), {}, {})
    extends = {"first": {"version": "v1", "sha256": first.sha256}, "days": 7.0}
    save_bundle(models, "fan01", plain_detector(), {"commissioning": extends}, {})
    with pytest.raises(UsageError, match="v1 is the trained model that v3 in use extends"):
        delete_version(models, "fan01", "v1", anyway=False)


def test_the_version_in_use_is_deleted_anyway_and_its_name_is_not_used_again(
    models: Path,
) -> None:
    save_bundle(models, "fan01", plain_detector(), {}, {})
    delete_version(models, "fan01", "v2", anyway=True)
    assert current_version(models, "fan01") is None
    assert list((models / "fan01").glob(".*")) == []
    promote(models, "fan01", "v1")
    assert save_bundle(models, "fan01", plain_detector(), {}, {}) == "v3"
    assert rollback(models, "fan01").version == "v1"
