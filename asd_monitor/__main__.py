"""``python -m asd_monitor`` is ``asd-monitor``."""

from asd_monitor.cli.app import main

main()
