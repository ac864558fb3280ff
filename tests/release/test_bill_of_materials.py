"""The bill of materials: what is in it, and what an answer of the service means."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from asd_monitor import __version__
from asd_monitor.errors import OperationError
from release.bill_of_materials import audit_of, main, with_hashes, without_licence

BILL = {
    "metadata": {"component": {"name": "asd-monitor"}},
    "components": [
        {"name": "asd-monitor", "version": "0.1.0"},
        {"name": "typing_extensions", "version": "4.16.0", "licenses": [{"license": "PSF-2.0"}]},
        {"name": "protobuf", "version": "7.36.2"},
    ],
}
SOUND = {"name": "protobuf", "version": "7.36.2", "vulns": []}
VULNERABLE = {
    "name": "protobuf",
    "version": "7.36.2",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["7.36.3"]}],
}
UNKNOWN = {"name": "protobuf", "skip_reason": "Dependency not found on PyPI"}
OURS = {"name": "asd-monitor", "skip_reason": "Dependency not found on PyPI"}


def installed(*archives: tuple[str, str, str | None]) -> dict[str, Any]:
    return {
        "install": [
            {
                "metadata": {"name": name, "version": version},
                "download_info": {}
                if digest is None
                else {"archive_info": {"hashes": {"sha256": digest}}},
            }
            for name, version, digest in archives
        ]
    }


ARCHIVES = installed(
    ("asd-monitor", "0.1.0", None),
    ("Typing.Extensions", "4.16.0", "aa"),
    ("protobuf", "7.36.2", "bb"),
)


def test_each_package_has_the_hash_of_its_archive() -> None:
    bill = with_hashes(BILL, ARCHIVES, "0.1.0")
    assert [(each["name"], each["hashes"]) for each in bill["components"]] == [
        ("typing_extensions", [{"alg": "SHA-256", "content": "aa"}]),
        ("protobuf", [{"alg": "SHA-256", "content": "bb"}]),
    ]
    assert bill["metadata"]["component"] == {"name": "asd-monitor", "version": "0.1.0"}
    assert without_licence(bill) == ["protobuf"]


def test_a_package_without_a_hash_is_an_error() -> None:
    other = installed(("typing_extensions", "4.16.0", "aa"), ("protobuf", "7.0.0", "bb"))
    with pytest.raises(OperationError, match=r"protobuf 7.36.2: .* without a hash"):
        with_hashes(BILL, other, "0.1.0")


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        ([SOUND, OURS], 0),
        ([VULNERABLE], 1),
        ([UNKNOWN], 3),
        ([SOUND, UNKNOWN], 3),
        ([VULNERABLE, UNKNOWN], 1),
    ],
)
def test_a_package_that_the_service_does_not_know_is_not_a_sound_one(
    packages: list[dict[str, Any]], code: int
) -> None:
    assert audit_of({"dependencies": packages}).exit_code == code


@pytest.mark.parametrize(
    ("answers", "code", "message"),
    [
        ({"pypi": [SOUND]}, 0, "no vulnerability is known"),
        ({"pypi": [UNKNOWN], "osv": [SOUND]}, 0, "no vulnerability is known"),
        ({"pypi": [VULNERABLE]}, 1, "protobuf 7.36.2: PYSEC-1, corrected in 7.36.3"),
        ({"pypi": [UNKNOWN], "osv": None}, 3, "not checked for vulnerabilities: 1 packages"),
        ({"pypi": None, "osv": None}, 3, "not checked for vulnerabilities: pypi: no network"),
    ],
)
def test_the_exit_code_says_whether_it_was_checked(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answers: dict[str, list[dict[str, Any]] | None],
    code: int,
    message: str,
) -> None:
    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        if "pip" in command:
            Path(command[command.index("--report") + 1]).write_text(json.dumps(ARCHIVES))
            return subprocess.CompletedProcess(command, 0, "", "")
        if "cyclonedx_py" in command:
            return subprocess.CompletedProcess(command, 0, json.dumps(BILL), "")
        answer = answers[command[-1]]
        if answer is None:
            return subprocess.CompletedProcess(command, 1, "", "Traceback\nno network")
        return subprocess.CompletedProcess(command, 0, json.dumps({"dependencies": answer}), "")

    file = tmp_path / "sbom.json"
    assert main([str(file)], run) == code
    printed = capsys.readouterr()
    assert message in printed.out + printed.err
    assert "notice: protobuf: its metadata names no licence" in printed.err
    written = json.loads(file.read_text())
    assert written["metadata"]["component"]["version"] == __version__


def test_a_failed_installation_is_an_error(tmp_path: Path) -> None:
    def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "no matching distribution")

    with pytest.raises(OperationError, match="no matching distribution"):
        main([str(tmp_path / "sbom.json")], run)
    assert not (tmp_path / "sbom.json").exists()
