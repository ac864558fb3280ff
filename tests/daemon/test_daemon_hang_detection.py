"""Detection of work that stands still."""

from asd_monitor.daemon.hang_detection import HangDetector, Standstill, WorkProgress

NONE = Standstill()


def test_work_that_advances_does_not_stand_still():
    detector = HangDetector(timeout_s=10)
    assert all(detector.observe(9.0 * i, {"fan": WorkProgress(i)}) == NONE for i in range(10))


def test_work_begins_to_stand_still_after_the_timeout():
    detector = HangDetector(timeout_s=10)
    detector.observe(0, {"fan": WorkProgress(5), "pump": WorkProgress(5)})
    assert detector.observe(10, {"fan": WorkProgress(5), "pump": WorkProgress(6)}) == NONE
    found = detector.observe(10.1, {"fan": WorkProgress(5), "pump": WorkProgress(6)})
    assert found == Standstill(begun=("fan",))
    assert list(detector.standing) == ["fan"]
    assert detector.observe(11, {"fan": WorkProgress(6), "pump": WorkProgress(7)}) == NONE
    assert not list(detector.standing)


def test_a_standstill_lasts_after_the_timeout_once_more():
    detector = HangDetector(timeout_s=10)
    detector.observe(0, {"fan": WorkProgress(5)})
    assert detector.observe(11, {"fan": WorkProgress(5)}).begun == ("fan",)
    assert detector.observe(20, {"fan": WorkProgress(5)}) == NONE
    assert detector.observe(22, {"fan": WorkProgress(5)}) == Standstill(lasting=("fan",))
    assert detector.observe(23, {"fan": WorkProgress(5)}) == Standstill(lasting=("fan",))


def test_timeout_starts_anew_when_an_outage_ends():
    detector = HangDetector(timeout_s=10)
    for now_s in range(0, 100, 5):
        assert detector.observe(now_s, {"fan": WorkProgress(5, idle_reason="no_device")}) == NONE
    assert detector.observe(104, {"fan": WorkProgress(5)}) == NONE
    assert detector.observe(106, {"fan": WorkProgress(5)}).begun == ("fan",)


def test_an_idle_reason_does_not_end_a_standstill():
    detector = HangDetector(timeout_s=10)
    detector.observe(0, {"fan": WorkProgress(5)})
    detector.observe(11, {"fan": WorkProgress(5)})
    assert detector.observe(12, {"fan": WorkProgress(5, idle_reason="restarting")}) == NONE
    assert detector.observe(23, {"fan": WorkProgress(5)}).lasting == ("fan",)


def test_work_may_have_a_limit_of_its_own():
    detector = HangDetector(timeout_s=10)
    detector.observe(0, {"fan": WorkProgress(5, limit_s=100)})
    assert detector.observe(99, {"fan": WorkProgress(5, limit_s=100)}) == NONE
    assert detector.observe(101, {"fan": WorkProgress(5, limit_s=100)}).begun == ("fan",)


def test_removed_work_starts_anew_when_it_returns():
    detector = HangDetector(timeout_s=10)
    detector.observe(0, {"fan": WorkProgress(5)})
    detector.observe(50, {})
    assert detector.observe(100, {"fan": WorkProgress(5)}) == NONE
