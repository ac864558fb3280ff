"""`asd-monitor` whose self-test begins at once, is repeated soon, and counts seconds as hours.

python -m tests.doubles.hurried_self_test run …
"""

from asd_monitor.cli.app import main
from asd_monitor.daemon.self_test_intervals import SelfTestIntervals
from asd_monitor.self_test import checks

FIRST_S, CHECK_S, RETRY_S, FAR_OFF_S = 3.0, 0.5, 2.0, 15.0

if __name__ == "__main__":
    SelfTestIntervals.__init__.__defaults__ = (FIRST_S, CHECK_S, RETRY_S)
    checks.FAR_OFF_S = FAR_OFF_S
    main()
