"""Detection of machines whose work stands still."""

from asd_monitor.daemon.hang_detection import HangDetector, WorkProgress


def test_machine_that_advances_is_not_hung():
    detector = HangDetector(timeout_s=10)
    assert all(detector.hung(9.0 * i, {"fan": WorkProgress(i)}) == [] for i in range(10))


def test_machine_that_stands_still_is_hung_after_the_timeout():
    detector = HangDetector(timeout_s=10)
    detector.hung(0, {"fan": WorkProgress(5), "pump": WorkProgress(5)})
    assert detector.hung(10, {"fan": WorkProgress(5), "pump": WorkProgress(6)}) == []
    assert detector.hung(10.1, {"fan": WorkProgress(5), "pump": WorkProgress(6)}) == ["fan"]
    assert detector.hung(11, {"fan": WorkProgress(6), "pump": WorkProgress(7)}) == []


def test_timeout_starts_anew_when_an_outage_ends():
    detector = HangDetector(timeout_s=10)
    for now_s in range(0, 100, 5):
        assert detector.hung(now_s, {"fan": WorkProgress(5, idle_reason="no_device")}) == []
    assert detector.hung(104, {"fan": WorkProgress(5)}) == []
    assert detector.hung(106, {"fan": WorkProgress(5)}) == ["fan"]


def test_removed_machine_starts_anew_when_it_returns():
    detector = HangDetector(timeout_s=10)
    detector.hung(0, {"fan": WorkProgress(5)})
    detector.hung(50, {})
    assert detector.hung(100, {"fan": WorkProgress(5)}) == []
