"""What was measured of all faults, in a file to which each run adds its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asd_monitor.errors import UsageError
from experiments.chaos.scenario import Findings, SampleLoss

FILE_NAME = "results.json"


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one fault."""

    name: str  # on the command line
    fault: str  # in the words of the table
    findings: Findings


def save_result(folder: Path, result: Result) -> None:
    """Add a result to the file of a folder; it replaces an earlier one of the same fault."""
    path = folder / FILE_NAME
    results = {each.name: each for each in load_results(path)} if path.exists() else {}
    results[result.name] = result
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps([asdict(each) for each in results.values()], indent=1))
    partial.replace(path)


def load_results(path: Path) -> list[Result]:
    """Return the results of a file, or of the file of a folder.

    Raises:
        UsageError: There is no such file, or it is another one.

    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        return [_result(each) for each in json.loads(file.read_bytes())]
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be read ({error.strerror}): name what a run has written"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{file}: no results of a run: name what a run has written") from error


def _result(document: dict[str, Any]) -> Result:
    fields = dict(document["findings"])
    loss = fields.pop("loss")
    findings = Findings(**fields, loss=None if loss is None else SampleLoss(**loss))
    return Result(document["name"], document["fault"], findings)
