"""One thread for blocking work."""

import threading

import pytest

from asd_monitor.worker_thread import WorkerThread


async def test_work_is_done_after_a_time_in_which_no_thread_could_be_started(monkeypatch):
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    worker = WorkerThread("work")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            await worker.run(lambda: 1)
    assert await worker.run(lambda: 2) == 2
    assert await worker.finish(5.0)
