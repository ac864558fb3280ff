"""``python -m asd_monitor`` is ``asd-monitor``."""

from asd_monitor.cli.program import program

program()
