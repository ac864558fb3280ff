"""Writes a CycloneDX bill of materials, and checks what is in it for known vulnerabilities.

    python -m release.bill_of_materials [FILE]

The package is installed as a user installs it, with the versions of ``constraints.txt``, into an
environment of its own.  cyclonedx-py lists what is there, with versions and licences; the hashes
are those of the archives that pip has installed; pip-audit asks a service for vulnerabilities.

Exit codes: 0 none is known; 1 it failed, or some are known; 3 the service could not be asked about
every package, which is not the same as none.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import venv
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_monitor import __version__
from asd_monitor.errors import OperationError

ROOT = Path(__file__).parents[1]
PACKAGE = "asd-monitor"
VULNERABLE = 1
NOT_CHECKED = 3

_SERVICES = ("pypi", "osv")
"""They are asked in this order, until one knows every package."""
_LIMIT_S = 900

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
"""Runs a command to its end."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What a service knows of the packages."""

    vulnerabilities: tuple[str, ...]  # one line each
    unchecked: tuple[str, ...]  # packages that it does not know
    failure: str | None = None  # why it could not be asked

    @property
    def exit_code(self) -> int:
        """The exit code of the program."""
        if self.vulnerabilities:
            return VULNERABLE
        return NOT_CHECKED if self.unchecked or self.failure else 0


def with_hashes(
    bill: Mapping[str, Any], installed: Mapping[str, Any], version: str
) -> dict[str, Any]:
    """Return a bill with the SHA-256 of each installed archive, and the version of the package.

    Args:
        bill: a document of CycloneDX.
        installed: pip's report of the installation (``--report``).
        version: version of the package.

    Raises:
        OperationError: an archive has no hash, or another version is in the bill.

    """
    hashes = {
        (_normal(entry["metadata"]["name"]), entry["metadata"]["version"]): digest
        for entry in installed["install"]
        if (digest := _sha256_of(entry)) is not None
    }
    components = []
    for component in bill["components"]:
        key = _normal(component["name"]), component["version"]
        if key[0] == PACKAGE:
            continue
        if key not in hashes:
            raise OperationError(
                f"{component['name']} {component['version']}: pip installed it without a hash: "
                "install it from an index, not from a folder"
            )
        components.append({**component, "hashes": [{"alg": "SHA-256", "content": hashes[key]}]})
    root = {**bill["metadata"]["component"], "version": version}
    return {**bill, "metadata": {**bill["metadata"], "component": root}, "components": components}


def without_licence(bill: Mapping[str, Any]) -> list[str]:
    """Return the names of the components whose metadata names no licence."""
    return [each["name"] for each in bill["components"] if not each.get("licenses")]


def audit_of(document: Mapping[str, Any]) -> Audit:
    """Return what pip-audit reports as JSON."""
    found, unchecked = [], []
    for package in document["dependencies"]:
        name = package["name"]
        if "skip_reason" in package:
            if _normal(name) != PACKAGE:
                unchecked.append(name)
            continue
        for each in package["vulns"]:
            fixed = ", ".join(each["fix_versions"]) or "no version yet"
            found.append(f"{name} {package['version']}: {each['id']}, corrected in {fixed}")
    return Audit(tuple(found), tuple(unchecked))


def audit(packages: Path, run: Run) -> Audit:
    """Ask the services about the packages in a folder; return the answer that knows most."""
    answers = []
    for service in _SERVICES:
        done = run(
            [sys.executable, "-m", "pip_audit", "--path", str(packages), "--format", "json",
             "--progress-spinner", "off", "--vulnerability-service", service]
        )  # fmt: skip
        try:
            answer = audit_of(json.loads(done.stdout))
        except (ValueError, KeyError, TypeError):
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            answer = Audit((), (), f"{service}: {lines[-1][:200]}")
        if answer.vulnerabilities or answer.exit_code == 0:
            return answer
        answers.append(answer)
    return min(answers, key=lambda each: (each.failure is not None, len(each.unchecked)))


def install(folder: Path, run: Run) -> dict[str, Any]:
    """Install the package into a new environment; return pip's report.  Raises OperationError."""
    venv.create(folder, with_pip=False)
    report = folder / "report.json"
    _checked(
        run,
        [sys.executable, "-m", "pip", "--python", str(_python(folder)), "install", "--quiet",
         "--constraint", str(ROOT / "constraints.txt"), "--report", str(report), str(ROOT)],
    )  # fmt: skip
    document: dict[str, Any] = json.loads(report.read_text())
    return document


def main(arguments: Sequence[str] | None = None, run: Run | None = None) -> int:
    """Write the bill and check it; return the exit code."""
    parser = ArgumentParser(
        prog="scripts/sbom", description="Software bill of materials, and known vulnerabilities."
    )
    parser.add_argument("file", nargs="?", type=Path, default=Path("sbom.json"))
    file = parser.parse_args(arguments).file
    run = run or _run
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "environment"
        installed = install(folder, run)
        listed = _checked(
            run,
            [sys.executable, "-m", "cyclonedx_py", "environment", str(_python(folder)),
             "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"],
        )  # fmt: skip
        bill = with_hashes(json.loads(listed), installed, __version__)
        file.write_text(json.dumps(bill, indent=2) + "\n")
        print(f"{file}: {len(bill['components'])} packages")  # noqa: T201
        for each in without_licence(bill):
            print(f"notice: {each}: its metadata names no licence", file=sys.stderr)  # noqa: T201
        found = audit(next(folder.glob("lib/python*/site-packages")), run)
    _report(found)
    return found.exit_code


def _report(found: Audit) -> None:
    for each in found.vulnerabilities:
        print(each)  # noqa: T201
    if found.failure or found.unchecked:
        why = found.failure or f"{len(found.unchecked)} packages are not known to the service"
        print(  # noqa: T201
            f"not checked for vulnerabilities: {why}: repeat this where pypi.org or osv.dev can be "
            "reached",
            file=sys.stderr,
        )
    elif not found.vulnerabilities:
        print("no vulnerability is known")  # noqa: T201


def _checked(run: Run, command: Sequence[str]) -> str:
    done = run(command)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise OperationError(f"{' '.join(command[1:4])}: it failed: {lines[-1][:300]}")
    return done.stdout


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _sha256_of(entry: Mapping[str, Any]) -> str | None:
    hashes = entry["download_info"].get("archive_info", {}).get("hashes", {})
    digest = hashes.get("sha256")
    return None if digest is None else str(digest)


def _normal(name: str) -> str:
    """Return the normalised name of a package (PyPA, core metadata)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OperationError as error:
        print(f"scripts/sbom: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
