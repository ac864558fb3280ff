"""The history of the scores: minutes, their file, and the charts."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asd_monitor.web import history, history_store
from asd_monitor.web.history import SPANS, History
from asd_monitor.web.history_chart import level_chart, score_chart
from asd_monitor.web.history_store import (
    FILE_NAME,
    MINUTES_KEPT_S,
    QUARTERS_KEPT_S,
    HistoryStore,
)
from asd_monitor.web.minute_means import HistoryRow, MinuteMeans
from asd_monitor.web.trend import PERIOD_S, PERIODS, Trend
from tests.doubles.page_client import page_client, window_of
from tests.doubles.waiting import until

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())


def row(begin_s: int, alarm_score: float | None = 1.0, *, windows: int = 10) -> HistoryRow:
    return HistoryRow("fan01", begin_s, windows, alarm_score, alarm_score, alarm_score, 5.0, -30.0)


def test_a_minute_has_the_highest_and_the_means() -> None:
    means = MinuteMeans("fan01")
    for second, score in ((0, 1.0), (20, 4.0), (59, 1.0)):
        assert means.push(window_of("fan01", score, NOW + timedelta(seconds=second))) is None
    found = means.push(window_of("fan01", 9.0, NOW + timedelta(seconds=60)))
    assert found is not None
    assert found.mean_level_dbfs == pytest.approx(-30.0)
    assert replace(found, mean_level_dbfs=None) == HistoryRow(
        "fan01", NOW_S, 3, 1.0, 1.0, 4.0, 5.42, None
    )
    rest = means.end()
    assert rest is not None
    assert rest.begin_s == NOW_S + 60
    assert means.end() is None


def test_rows_are_joined_to_periods(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    store.write([row(NOW_S, 1.0, windows=10), row(NOW_S + 60, 4.0, windows=30)], NOW_S)
    store.write([row(NOW_S + 60, None, windows=10)], NOW_S)
    minutes = store.read("fan01", NOW_S, NOW_S + 900, 60)
    assert [each.highest_alarm_score for each in minutes] == [1.0, 4.0]
    assert minutes[1].windows == 40
    (quarter,) = store.read("fan01", NOW_S, NOW_S + 900, 900)
    assert quarter.highest_alarm_score == 4.0
    assert quarter.mean_score == pytest.approx((1.0 * 10 + 4.0 * 30) / 40)
    assert store.read("pump02", NOW_S, NOW_S + 900, 60) == []
    store.close()


def test_what_is_old_is_deleted(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    old_s = NOW_S - MINUTES_KEPT_S - 60
    oldest_s = NOW_S - QUARTERS_KEPT_S - 900
    day = [row(NOW_S - 60 * minutes) for minutes in range(1440)]
    removed = replace(row(oldest_s), machine="removed")
    store.write([row(old_s), row(oldest_s), removed, *day], NOW_S)
    assert len(store.read("fan01", 0, 2 * NOW_S, 60)) == 1440
    quarters = store.read("fan01", 0, 2 * NOW_S, 900)
    assert [each.begin_s for each in quarters[:1]] == [old_s // 900 * 900]
    assert store.read("removed", 0, 2 * NOW_S, 900) == []
    store.close()


@pytest.mark.parametrize("wrong_s", [0, NOW_S - 5 * 365 * 86_400, NOW_S + 5 * 365 * 86_400])
def test_a_clock_that_is_wrong_for_hours_deletes_nothing(tmp_path: Path, wrong_s: int) -> None:
    day = [row(NOW_S - 60 * minutes) for minutes in range(1440)]
    store = HistoryStore(tmp_path)
    store.write(day, NOW_S)
    before = store.read("fan01", NOW_S - MINUTES_KEPT_S, NOW_S + 1, 60)
    store.close()
    store = HistoryStore(tmp_path)  # the box starts, and its clock is set later
    for hour in range(5):
        store.write([row(wrong_s + 3600 * hour)], wrong_s + 3600 * hour)
    assert store.read("fan01", NOW_S - MINUTES_KEPT_S, NOW_S + 1, 60) == before
    store.close()


def test_the_number_of_rows_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_store, "MAX_ROWS", 10)
    store = HistoryStore(tmp_path)
    store.write([row(NOW_S + 60 * minutes) for minutes in range(-15, 15)], NOW_S)
    minutes = store.read("fan01", 0, 2 * NOW_S, 60)
    assert len(minutes) == 10
    assert minutes[0].begin_s < NOW_S < minutes[-1].begin_s
    store.close()


def test_rows_of_a_damaged_file_are_left_out(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    store.write([row(NOW_S), row(NOW_S + 60)], NOW_S)
    store.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("UPDATE minutes SET highest_alarm_score = 'x' WHERE begin_s = ?", (NOW_S,))
    database.close()
    assert [each.begin_s for each in store.read("fan01", 0, 2 * NOW_S, 60)] == [NOW_S + 60]
    store.close()


async def test_minutes_wait_for_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MAX_WAITING", 4)
    kept = History(tmp_path / "missing")
    for minute in range(6):
        kept.push(window_of("fan01", 1.0 + minute, NOW + timedelta(minutes=minute)))
        await kept.write()
    (tmp_path / "missing").mkdir()
    await kept.end()
    rows = await kept.read("fan01", SPANS[0], NOW + timedelta(minutes=6))
    assert [each.highest_alarm_score for each in rows] == [2.0, 3.0, 4.0, 5.0, 6.0]
    assert kept.dropped == 1
    await kept.end()


async def test_minutes_that_are_written_when_the_page_ends_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, answers, inside = threading.Event(), threading.Event(), 0

    def write(store: HistoryStore, rows: Iterable[HistoryRow], now_s: float) -> bool:
        nonlocal inside
        inside += 1
        assert inside == 1, "two threads at once"
        begun.set()
        is_first = not answers.is_set()
        answers.wait(10)
        inside -= 1
        return not is_first and store_write(store, rows, now_s)

    store_write = HistoryStore.write
    monkeypatch.setattr(HistoryStore, "write", write)
    kept = History(tmp_path)
    for minute in range(2):
        kept.push(window_of("fan01", 1.0, NOW + timedelta(minutes=minute)))
    writing = asyncio.create_task(kept.write())
    await until(begun.is_set)
    writing.cancel()
    await asyncio.wait((writing,))
    ending = asyncio.create_task(kept.end())
    answers.set()
    await ending
    assert len(await kept.read("fan01", SPANS[0], NOW + timedelta(minutes=2))) == 2
    await kept.end()


def test_the_trend_goes_on_when_the_clock_is_set_back() -> None:
    trend = Trend()
    for number in range(PERIODS):
        trend.push(window_of("fan01", 4.0, NOW + timedelta(days=2, seconds=PERIOD_S * number)))
    trend.push(window_of("fan01", 1.0, NOW))
    trend.add(NOW - timedelta(hours=1), 2.0)  # restored
    assert [each for each in trend.highest(NOW) if each is not None] == [2.0, 1.0]


def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    store.write([row(NOW_S)], NOW_S)
    store.close()
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    store = HistoryStore(tmp_path)
    store.write([row(NOW_S + 60)], NOW_S)
    assert [each.begin_s for each in store.read("fan01", 0, 2 * NOW_S, 60)] == [NOW_S + 60]
    assert store.note is not None
    assert "damaged and begun anew at 2026-03-02 10:00 UTC" in store.note
    assert (tmp_path / f"{FILE_NAME}.damaged").read_bytes().startswith(b"no database")
    store.close()


def test_a_disk_that_cannot_be_written_is_said_until_it_can(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path / "missing")
    store.write([row(NOW_S)], NOW_S)
    assert "cannot be written" in (store.note or "")
    assert store.read("fan01", 0, 2 * NOW_S, 60) == []
    (tmp_path / "missing").mkdir()
    store.write([row(NOW_S)], NOW_S)
    assert store.note is None
    store.close()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path)
    store.write([row(NOW_S)], NOW_S)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0
    store.close()


async def test_the_trend_is_taken_up_after_a_restart(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    kept = History(tmp_path)
    kept.push(window_of("fan01", 3.5, now - timedelta(hours=1)))
    await kept.end()
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        assert database.execute("SELECT count(*) FROM minutes").fetchone() == (1,)
    database.close()
    client = page_client(tmp_path)
    await kept.restore_trend(client.live, "fan01", now)
    assert max(each or 0.0 for each in client.live.machine("fan01").trend.highest(now)) == 3.5
    await kept.end()


def test_charts_have_gaps_limits_and_alarms() -> None:
    day = SPANS[1]
    rows = [row(NOW_S - 7200), row(NOW_S - 6900, 6.0), row(NOW_S - 600, 2.0)]
    chart = score_chart(rows, day, NOW, [NOW - timedelta(hours=12)])
    assert chart.path.count("M") == 2
    assert chart.limit is not None
    assert 0 < chart.limit.at < 100
    assert chart.marks[0].at == pytest.approx(50.0)
    assert chart.words == "highest alarm score 6.0, alarms raised: 1"
    assert all(0 <= tick.at <= 100 for tick in (*chart.x_ticks, *chart.y_ticks))
    assert level_chart(rows, day, NOW).words == "level from -30 to -30 dBFS"


@pytest.mark.parametrize("span", SPANS, ids=lambda each: each.key)
async def test_the_machine_page_shows_every_span(tmp_path: Path, span: object) -> None:
    client = page_client(tmp_path)
    key = getattr(span, "key", "")
    answer = await client.get(f"/machines/fan01?span={key}")
    assert answer.status == 200
    assert f'?span={key}#history" aria-current="true"' in answer.body


def test_the_times_of_a_chart_are_round() -> None:
    for span in SPANS:
        chart = score_chart([], span, NOW, [])
        assert 5 <= len(chart.x_ticks) <= 7
        for tick in chart.x_ticks:
            assert datetime.fromisoformat(tick.time or "").timestamp() % chart.step_s == 0
    assert score_chart([], SPANS[1], NOW, []).x_ticks[0].text.endswith(":00")


def test_the_highest_value_is_inside_of_the_chart() -> None:
    chart = score_chart([row(NOW_S - 600, 12.0)], SPANS[1], NOW, [])
    (top,) = {float(each.split()[1]) for each in chart.path.removeprefix("M").split("L")}
    assert top > 5
    assert chart.y_ticks[0].text == "0"


def test_an_empty_history_has_charts() -> None:
    for span in SPANS:
        assert score_chart([], span, NOW, []).words == "no scores in this time"
        assert level_chart([], span, NOW).path == ""
