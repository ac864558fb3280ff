"""Layouts of the challenge: recognition of the year, labels from tables, error messages."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asd_monitor.errors import UsageError
from asd_monitor.evaluation.clip_names import Domain, read_name
from asd_monitor.evaluation.dcase_data_set import DataSet, DcaseMachine, LabelledClip, TrainingClip
from asd_monitor.evaluation.dcase_layouts import find_data_set
from asd_monitor.evaluation.dcase_tables import read_attributes
from asd_monitor.evaluation.dcase_years import Rules
from datasets.dcase_tree import LAYOUTS
from tests.doubles.small_trees import CONDITION, small_tree
from tests.doubles.synthetic_sounds import machine_sound, write


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("layouts")
    return {
        layout: small_tree(root / layout, layout, (0, 1) if layout in ("2021", "2022") else (0,))
        for layout in LAYOUTS
    }


@pytest.fixture
def copied(trees: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Data sets that a test may change."""
    return {
        layout: shutil.copytree(trees[layout], tmp_path / layout)
        for layout in ("2020", "2021", "2022", "2025")
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_year_is_recognised(trees: dict[str, Path], layout: str) -> None:
    data = find_data_set(trees[layout])
    assert (data.rules, data.chosen) == (layout, False)
    assert data.notices == ()
    sections = ["fan section_00", "fan section_01"] if layout in ("2021", "2022") else None
    names = ["fan id_00"] if layout == "2020" else sections or ["fan section_00"]
    assert [machine.name for machine in data.machines] == names
    for machine in data.machines:
        assert len(machine.training_clips) == (4 if layout == "2020" else 6)
        assert sum(clip.anomalous for clip in machine.test) == len(machine.test) / 2
        assert machine.channel == (0 if layout == "2026" else None)
        assert len(machine.supplemental) == (layout >= "2025")
        if layout != "2020":
            for domain, trained in zip(Domain, (4, 2), strict=True):
                of_domain = [clip for clip in machine.training_clips if clip.domain is domain]
                assert len(of_domain) == trained
                assert sum(clip.domain is domain for clip in machine.test) == 4


def _clips(machine: DcaseMachine) -> list[TrainingClip | LabelledClip]:
    return [*machine.training_clips, *machine.test]


@pytest.mark.parametrize("layout", ["2021", "2022", "2023", "2026"])
def test_operating_conditions_are_read(trees: dict[str, Path], layout: str) -> None:
    [machine, *_] = find_data_set(trees[layout]).machines
    for clip in _clips(machine):
        assert clip.domain is not None
        assert clip.condition == CONDITION[clip.domain]


def test_hidden_operating_conditions_are_empty(trees: dict[str, Path]) -> None:
    for layout in ("2024", "2025"):
        [machine] = find_data_set(trees[layout]).machines
        assert {clip.condition for clip in _clips(machine)} == {""}


def test_variants_of_attribute_tables(tmp_path: Path) -> None:
    stem = "section_00_source_train_normal_0000"
    rows = {
        f"file_name,d1p,d1v\nfan/train/{stem}.wav,m-n,W\n": "m-n_W",
        f"file_name,d1p,d1v\n{stem},m-n,W\n": "m-n_W",
        f"\ufefffile_name,d1p,d1v,file_name_with_full_attributes\n{stem}.wav,m-n,W,x\n": "m-n_W",
        f"file_name\n{stem}\n": "",
        f"file_name,d1p,d1v\n{stem},noAttribute,\n": "",
        f"{stem}.wav,vel,6,loc,A\n": "vel_6_loc_A",
    }
    for text, condition in rows.items():
        (tmp_path / "attributes_00.csv").write_text(text, "utf-8")
        assert read_attributes(tmp_path / "attributes_00.csv") == {stem: condition}
    (tmp_path / "attributes_00.csv").write_text("file_name\nfan_1.wav\n", "utf-8")
    with pytest.raises(UsageError, match=r"line 2: fan_1\.wav is not the name of a clip"):
        read_attributes(tmp_path / "attributes_00.csv")
    (tmp_path / "attributes_00.csv").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(UsageError, match="not a CSV file"):
        read_attributes(tmp_path / "attributes_00.csv")


@pytest.mark.parametrize(
    ("file", "attributes"),
    [
        ("normal_id_02_00000001.wav", ("id_02", False, None, "")),
        ("id_05_00000001.wav", ("id_05", None, None, "")),
        ("section_01_target_test_anomaly_0003_m-n_W.flac", ("section_01", True, "target", "m-n_W")),
        ("section_03_source_test_0000.wav", ("section_03", None, "source", "")),
        ("section_03_test_0000.wav", ("section_03", None, None, "")),
        ("section_00_0000.WAV", ("section_00", None, None, "")),
        (
            "section_00_source_train_normal_0000_noAttribute.wav",
            ("section_00", False, "source", ""),
        ),
    ],
)
def test_attributes_in_names(file: str, attributes: tuple[object, ...]) -> None:
    name = read_name(file)
    assert name is not None
    assert (name.machine, name.anomalous, name.domain, name.condition) == attributes
    assert name.hides_condition is ("noAttribute" in file)


@pytest.mark.parametrize("file", ["fan.wav", "section_00.wav", "id_00_1.mp3", "normal_00_1.wav"])
def test_names_of_other_schemes(file: str) -> None:
    assert read_name(file) is None


# Labels of evaluation data


def _without_labels(root: Path, layout: str) -> dict[Path, str]:
    """Rename the test clips as in evaluation data; return the full name of each."""
    full = {}
    for at, path in enumerate(sorted(root.glob("fan/*test/*.flac"))):
        name = read_name(path.name)
        assert name is not None
        domain = f"{name.domain}_test_" if layout == "2021" else ""
        renamed = path.with_name(f"{name.machine}_{domain}{at:04d}.flac")
        path.rename(renamed)
        full[renamed] = path.name
    return full


def _labels(data: DataSet) -> set[tuple[str, bool, Domain | None]]:
    return {(c.path.name, c.anomalous, c.domain) for m in data.machines for c in m.test}


def _write_table(path: Path, rows: list[list[object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize("layout", ["2020", "2021", "2022"])
def test_labels_come_from_tables(copied: dict[str, Path], layout: str, tmp_path: Path) -> None:
    root = copied[layout]
    full = _without_labels(root, layout)
    expected = {
        (path.name, "anomaly" in name, read_name(name).domain)  # type: ignore[union-attr]
        for path, name in full.items()
    }
    with pytest.raises(UsageError, match="has no label: give a table of labels with --labels"):
        find_data_set(root)
    if layout == "2020":
        rows: list[list[object]] = [["fan"]]
        rows += [[p.name, name, int("anomaly" in name)] for p, name in full.items()]
        _write_table(root / "eval_data_list.csv", rows)
        assert _labels(find_data_set(root)) == expected
        return
    for path, name in full.items():
        attributes = read_name(name)
        assert attributes is not None
        of = f"ground_truth_fan_{attributes.machine}_test.csv"
        for folder, value in (
            ("data", attributes.anomalous),
            ("domain", attributes.domain == "target"),
        ):
            table = tmp_path / f"tables/ground_truth_{folder}/{of}"
            table.parent.mkdir(parents=True, exist_ok=True)
            with table.open("a") as file:
                file.write(f"{path.name},{int(bool(value))}\n")
    assert _labels(find_data_set(root, labels=tmp_path / "tables")) == expected
    shutil.rmtree(tmp_path / "tables")
    rows = [["file_name", "file_name_with_full_attributes"]]
    rows += [[f"fan/test/{p.name}", f"fan/test/{name}"] for p, name in full.items()]
    _write_table(tmp_path / "tables/all.csv", rows)
    assert _labels(find_data_set(root, labels=tmp_path / "tables")) == expected


@pytest.mark.parametrize("form", ["list", "files", "paths"])
def test_labels_of_clips_with_the_same_name_in_two_types(tmp_path: Path, form: str) -> None:
    root, sound = tmp_path / "tree", machine_sound(3.0)
    rows: list[list[object]] = []
    for kind in ("fan", "pump"):
        write(root / kind / "train/normal_id_00_00000000.wav", sound)
        labels = {f"id_00_0000000{n}.wav": int((n == 0) is (kind == "fan")) for n in range(2)}
        for name in labels:
            write(root / kind / "test" / name, sound)
        clips: list[list[object]] = [[name, label] for name, label in labels.items()]
        if form == "list":
            rows += [[kind], *([name, "-", label] for name, label in clips)]
        elif form == "paths":
            rows += [[f"{kind}/test/{name}", label] for name, label in clips]
        else:
            _write_table(tmp_path / f"tables/ground_truth_{kind}_section_00_test.csv", clips)
    if rows:
        _write_table(tmp_path / "tables/labels.csv", rows)
    machines = find_data_set(root, labels=tmp_path / "tables").machines
    assert [[clip.anomalous for clip in m.test] for m in machines] == [[True, False], [False, True]]


def test_invalid_labels_are_refused(copied: dict[str, Path], tmp_path: Path) -> None:
    root = copied["2020"]
    path, *_ = _without_labels(root, "2020")
    table = tmp_path / "labels.csv"
    table.write_text(f"{path.name},broken\n")
    with pytest.raises(UsageError, match=r"line 1: 'broken' is not a label"):
        find_data_set(root, labels=table)
    table.write_text("what,label\n")
    with pytest.raises(UsageError, match="contains no label"):
        find_data_set(root, labels=table)
    with pytest.raises(UsageError, match="no such file"):
        find_data_set(root, labels=tmp_path / "absent")
    table.write_text(f"{path.name},1\n")
    with pytest.raises(UsageError, match=r"0001\.flac has no label"):
        find_data_set(root, labels=table)


# Rules and error messages


def test_the_rules_can_be_given(trees: dict[str, Path]) -> None:
    assert find_data_set(trees["2022"], Rules.Y2025).rules == "2025"
    assert find_data_set(trees["2022"], Rules.Y2021).rules == "2021"
    with pytest.raises(UsageError, match=r"rules of 2020 do not fit.*those of 2022"):
        find_data_set(trees["2022"], Rules.Y2020)
    with pytest.raises(UsageError, match=r"rules of 2023 do not fit.*have no domains.*of 2020"):
        find_data_set(trees["2020"], Rules.Y2023)


def test_a_missing_domain_is_named(copied: dict[str, Path]) -> None:
    root = copied["2022"]
    for path in root.glob("fan/test/section_01_target_test_normal*"):
        path.unlink()
    with pytest.raises(UsageError, match="section_01 has no normal test clip of the target domain"):
        find_data_set(root)
    root = copied["2021"]
    shutil.rmtree(root / "fan/target_test")
    with pytest.raises(UsageError, match="section_00 has no normal test clip of the target domain"):
        find_data_set(root)


def test_anomalies_of_one_domain_suffice_except_in_2021(copied: dict[str, Path]) -> None:
    for path in copied["2022"].glob("fan/test/section_00_target_test_anomaly*"):
        path.unlink()
    assert len(find_data_set(copied["2022"]).machines) == 2
    with pytest.raises(UsageError, match="section_00 has no anomalous test clip of the target"):
        find_data_set(copied["2022"], Rules.Y2021)


def test_a_section_without_training_clips_is_named(copied: dict[str, Path]) -> None:
    for path in copied["2022"].glob("fan/train/section_01*"):
        path.unlink()
    with pytest.raises(UsageError, match="fan section_01 has no training clip"):
        find_data_set(copied["2022"])


def test_a_missing_class_is_named(copied: dict[str, Path]) -> None:
    for path in copied["2025"].glob("fan/test/*anomaly*"):
        path.unlink()
    with pytest.raises(UsageError, match="fan section_00 has no anomalous test clip"):
        find_data_set(copied["2025"])


def test_attributes_of_absent_files_are_named(copied: dict[str, Path]) -> None:
    table = copied["2025"] / "fan/attributes_00.csv"
    rows = table.read_text()
    table.write_text(rows.replace("_0000", "_0777"))
    [notice] = find_data_set(copied["2025"]).notices
    assert "do not exist (the first: section_00_source_test_anomaly_0777" in notice
    table.write_text(rows.replace("section_00", "section_07"))
    with pytest.raises(UsageError, match=r"attributes_00.csv names no file that exists"):
        find_data_set(copied["2025"])


def test_two_naming_schemes_in_one_data_set_are_refused(copied: dict[str, Path]) -> None:
    sound = machine_sound(3.0)
    write(copied["2022"] / "fan/train/normal_id_00_00000000.wav", sound)
    with pytest.raises(UsageError, match="some clips are named by ids and some by sections"):
        find_data_set(copied["2022"])


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_synthetic_data_sets_have_every_layout(tmp_path: Path, layout: str) -> None:
    few = ["--train", "3", "--target", "1", "--normal", "2", "--anomaly", "2", "--clip-s", "2"]
    command = [
        "-m",
        "datasets.synthetic_tree",
        tmp_path / "made",
        "--layout",
        layout,
        "--families",
        "fan",
        "motor",
        *few,
    ]
    machines = "2" if layout == "2022" else "1"
    subprocess.run(
        [sys.executable, *map(str, command), "--machines", machines],
        check=True,
        timeout=100,
        cwd=Path(__file__).parents[2],
    )
    data = find_data_set(tmp_path / "made")
    assert data.rules == layout
    assert len(data.machines) == 2 * int(machines)
    conditions = [{bool(n.condition) for n in machine.training_clips} for machine in data.machines]
    if layout == "2020":
        assert conditions == [{False}] * 2
    elif layout < "2024":
        assert conditions == [{True}] * len(data.machines)
    else:
        assert conditions == [{True}, {False}]  # every second type hides its conditions
