"""Optional dependencies: what a plain installation lacks, and the command that installs it."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass

from asd_monitor.errors import OperationError


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of the package, and those of its modules that a feature imports."""

    name: str
    modules: tuple[str, ...]


WEB = Extra("web", ("starlette", "uvicorn", "prometheus_client"))
DEMO = Extra("demo", ("amqtt",))
TORCH = Extra("train", ("torch",))
TORCH_AND_EXPORT = Extra("train", ("torch", "onnx", "onnxscript"))


def is_installed(extra: Extra) -> bool:
    """Return whether the modules of an extra are installed, without importing them."""
    return not _missing(extra)


def require_extra(feature: str, extra: Extra, alternative: str = "") -> None:
    """Check that the modules of an extra are installed, without importing them.

    `feature` is what needs them, such as "--adapt"; `alternative` is the remedy without them,
    such as "omit --adapt".

    Raises:
        OperationError: one of them is not installed.

    """
    missing = _missing(extra)
    if missing:
        raise OperationError(
            f"{feature} needs {missing[0]}, which is not installed: run `{sys.prefix}/bin/pip "
            f"install -c constraints.txt '.[{extra.name}]'` in the clone of the repository"
            f"{f', or {alternative}' if alternative else ''}"
        )


def _missing(extra: Extra) -> list[str]:
    return [name for name in extra.modules if importlib.util.find_spec(name) is None]
