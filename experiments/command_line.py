"""The command line that the experiments share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asd_monitor.errors import AsdMonitorError


def parser_of(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a module of this package; the description is shown as it is."""
    return argparse.ArgumentParser(
        prog=f"python -m experiments.{program}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the folder of the results."""
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")


def add_noise(parser: argparse.ArgumentParser) -> None:
    """Add the folder of outside recordings."""
    parser.add_argument("--noise", type=Path, required=True, metavar="FOLDER")


@contextmanager
def errors_reported(program: str) -> Iterator[None]:
    """Write an error of the user to stderr and end with its exit code."""
    try:
        yield
    except AsdMonitorError as error:
        sys.stderr.write(f"{program}: {error}\n")
        raise SystemExit(error.exit_code) from error
