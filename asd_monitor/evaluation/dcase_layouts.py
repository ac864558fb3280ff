"""Folders of DCASE Task 2, 2020 to 2026 → a data set.

    TYPE/train/                                     normal clips for training
    TYPE/test/, or source_test/ and target_test/    clips to score (the latter in 2021)
    TYPE/attributes_00.csv                          operating condition of each clip
    TYPE/supplemental/                              the machine, or the noise, alone (2025)

Files are WAV or FLAC, named as `clip_names` describes.
"""

from __future__ import annotations

from pathlib import Path

from asd_monitor.audio.files.recording_search import RecordingNotFoundError, no_permission
from asd_monitor.errors import UsageError
from asd_monitor.evaluation.dcase_data_set import DataSet, DcaseMachine
from asd_monitor.evaluation.dcase_scan import TEST_FOLDERS, TRAIN_FOLDER, DataSetScan
from asd_monitor.evaluation.dcase_tables import Labels, label_tables, read_labels
from asd_monitor.evaluation.dcase_years import Rules
from asd_monitor.evaluation.problem_list import join_problems

LAYOUT = (
    "TYPE/train/normal_id_00_00000000.wav and TYPE/test/anomaly_id_00_00000000.wav, or "
    "TYPE/train/section_00_source_train_normal_0000.wav and "
    "TYPE/test/section_00_target_test_anomaly_0000.wav"
)


def find_machines(root: Path) -> list[DcaseMachine]:
    """Return every id or section below a folder; see `find_data_set`."""
    return list(find_data_set(root).machines)


def find_data_set(
    root: Path,
    rules: Rules | None = None,
    labels: Path | None = None,
    channel: int | None = None,
) -> DataSet:
    """Return every id or section of every type below a folder, or of the type that it is.

    ``rules`` of None are recognised from the files.  ``labels`` is a table, or a folder of
    tables, for test clips without a label in their names; None: the tables beside the types.

    Raises:
        UsageError: no such layout, rules that do not fit it, or a machine without the clips
            that its evaluation needs.
        OperationError: no permission.

    """
    try:
        return _find_data_set(root, rules, labels, channel)
    except PermissionError as error:
        raise no_permission(Path(error.filename or root)) from error


def _find_data_set(
    root: Path, rules: Rules | None, labels: Path | None, channel: int | None
) -> DataSet:
    if not root.is_dir():
        what = "a folder is needed" if root.exists() else "no such folder"
        raise RecordingNotFoundError(f"{root}: {what}: name a folder that contains {LAYOUT}")
    folders = [root] if _is_type(root) else sorted(filter(_is_type, root.iterdir()))
    if not folders:
        raise UsageError(f"{root}: not a layout of DCASE: it must contain {LAYOUT}")
    scan = DataSetScan(_read_labels(root, labels))
    for folder in folders:
        scan.read_type(folder)
    recognised = scan.recognise_rules()
    used = rules or recognised
    fits = used.has_domains is recognised.has_domains
    if fits:
        scan.require_classes(used)
    if problems := scan.problems:
        raise UsageError(f"{root}: {join_problems(problems)}: the layout is {LAYOUT}")
    if not fits:
        has, lacks = ("ids", "domains") if used.has_domains else ("sections", "ids")
        raise UsageError(
            f"{root}: the rules of {used} do not fit: its clips are named by {has} and have no "
            f"{lacks}: omit --rules to use those of {recognised}"
        )
    if channel is None and used is Rules.Y2026:
        channel = 0  # the near microphone
    return DataSet(used, rules is not None, tuple(scan.machines(channel)), tuple(scan.notices))


def _read_labels(root: Path, given: Path | None) -> Labels:
    if given is not None:
        return read_labels(given)
    found = Labels()
    for path in label_tables(root):
        found.update(read_labels(path, at_least_one=False))
    return found


def _is_type(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in (TRAIN_FOLDER, *TEST_FOLDERS))
