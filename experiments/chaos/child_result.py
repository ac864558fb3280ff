"""The result of a file of this package that imports the program of another checkout."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.chaos.product import Product
from experiments.chaos.scenario import Findings

_PATIENCE = 20.0  # times the usual duration
_LEAST_PATIENCE_S = 60.0


def child_result(
    product: Product,
    script: Path,
    arguments: Sequence[object],
    findings: Findings,
    *,
    usual_s: float,
) -> dict[str, Any] | None:
    """Run the file to its end; return the object that it prints.

    Where it fails or takes far longer than usual, that is a problem, and None is returned.
    """
    patience_s = _LEAST_PATIENCE_S + _PATIENCE * usual_s
    child = product.run_child(script, arguments)
    try:
        output, _ = child.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        findings.problems.append(f"not done after {patience_s:g} s")
        return None
    finally:
        child.kill()
        child.wait()
    if child.returncode or not output:
        findings.problems.append(f"the process ended with {child.returncode}")
        return None
    found: dict[str, Any] = json.loads(output)
    return found
