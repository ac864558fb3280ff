"""The parts of the faults: audit of events, proxy, table, child processes."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.chaos import __main__ as command
from experiments.chaos import journal_child
from experiments.chaos.event_audit import EventAudit, equal_ids
from experiments.chaos.findings_table import report
from experiments.chaos.journal_reading import JournalAlarm, JournalContent, JournalEvent
from experiments.chaos.recording_proxy import PacketReader, RecordingProxy
from experiments.chaos.results import FILE_NAME, Result, load_results, save_result
from experiments.chaos.sample_loss import measured_loss
from experiments.chaos.scenario import Findings, SampleLoss
from tests.doubles.fake_broker import CONNACK_5, ClientConnection, FakeBroker

RAISED = JournalEvent("e1", "fan01", "t1", "normal", "unacknowledged", "fan01-1", 1)
CLEARED = JournalEvent("e2", "fan01", "t2", "unacknowledged", "returned", "fan01-1", 2)
AGAIN = JournalEvent("e3", "fan01", "t3", "returned", "unacknowledged", "fan01-2", 3)


def message(event, **changes):
    return {
        "id": event.id,
        "machine": event.machine,
        "time": event.time,
        "from": event.before,
        "to": event.after,
        "alarm_id": event.alarm_id,
        "seq": event.seq,
        **changes,
    }


def audit_of(*events, alarms=()):
    audit = EventAudit()
    audit.read(JournalContent(events, alarms))
    return audit


def test_what_is_published_in_order_has_no_problem():
    audit = audit_of(RAISED, CLEARED, AGAIN)
    messages = [message(each) for each in (RAISED, CLEARED, AGAIN)]
    assert audit.check(messages) == []
    assert audit.missing(messages) == []
    assert (equal_ids(messages), audit.other_ids(messages)) == (0, 0)


def test_a_lost_event_is_missing():
    audit = audit_of(RAISED, CLEARED)
    assert audit.missing([message(CLEARED)]) == [RAISED]


def test_an_event_that_the_journal_has_set_aside_is_not_missing():
    audit = EventAudit()
    audit.read(JournalContent((RAISED, CLEARED), set_aside=frozenset({"e1"})))
    assert audit.missing([message(CLEARED)]) == []


def test_an_event_that_was_set_aside_may_arrive_after_later_ones():
    audit = EventAudit()
    audit.read(JournalContent((RAISED, CLEARED), set_aside=frozenset({"e1"})))
    audit.read(JournalContent((RAISED, CLEARED)))
    assert audit.check([message(CLEARED), message(RAISED)]) == []


def test_a_repetition_is_counted_and_no_problem():
    messages = [message(RAISED), message(CLEARED), message(RAISED)]
    assert equal_ids(messages) == 1
    assert audit_of(RAISED, CLEARED).check(messages) == []


def test_an_event_under_another_id_is_counted():
    messages = [message(RAISED), message(RAISED, id="e9")]
    assert audit_of(RAISED).other_ids(messages) > 0


def test_a_transition_under_two_numbers_is_counted():
    again = message(RAISED, id="e9", seq=2)
    assert audit_of(RAISED).other_ids([message(RAISED), again]) == 1


def test_a_condition_that_was_left_and_entered_again_at_the_same_time_is_none():
    latched = JournalEvent("e2", "fan01", "t1", "unacknowledged", "latched", "fan01-1", 2)
    back = JournalEvent("e3", "fan01", "t1", "latched", "unacknowledged", "fan01-1", 3)
    again = JournalEvent("e4", "fan01", "t1", "unacknowledged", "latched", "fan01-1", 4)
    messages = [message(each) for each in (RAISED, latched, back, again)]
    assert audit_of(RAISED, latched, back, again).other_ids(messages) == 0


def test_a_state_that_is_entered_again_after_a_kill_is_none():
    state = JournalEvent("e2", "fan01", "t1", "normal", "alarm", None, 2)
    again = JournalEvent("e5", "fan01", "t9", "normal", "alarm", None, 4)
    events = RAISED, state, replace(CLEARED, seq=3), again
    assert audit_of(*events).other_ids([message(each) for each in events]) == 0


def test_a_state_that_is_entered_twice_in_succession_is_counted():
    state = JournalEvent("e2", "fan01", "t1", "normal", "alarm", None, 2)
    again = JournalEvent("e5", "fan01", "t1", "normal", "alarm", None, 3)
    events = RAISED, state, again
    assert audit_of(*events).other_ids([message(each) for each in events]) == 1


def test_an_order_other_than_that_of_the_numbers_is_a_problem():
    messages = [message(CLEARED), message(RAISED)]
    assert audit_of(RAISED, CLEARED).check(messages) == ["fan01: seq 1 follows 2"]


def test_an_alarm_under_two_ids_is_a_problem():
    (problem,) = audit_of(RAISED, AGAIN).check([])
    assert "two ids: ['fan01-2']" in problem


def test_an_event_that_leaves_the_journal_is_a_problem():
    audit = audit_of(RAISED, CLEARED)
    audit.read(JournalContent((CLEARED,)))
    assert "1 events left the journal" in audit.check([])[0]


def test_a_lost_acknowledgement_is_a_problem():
    audit = audit_of(alarms=(JournalAlarm("fan01-1", "fan01", "unacknowledged", False),))
    audit.acknowledged_alarms.add("fan01-1")
    assert audit.check([]) == ["the acknowledgement of fan01-1 is lost"]


def test_packets_are_cut_wherever_the_bytes_are():
    data = bytes([0x30, 3, 1, 2, 3, 0xD0, 0]) + bytes([0x30, 0x80, 1]) + bytes(128)
    reader = PacketReader()
    found = [packet for byte in data for packet in reader.packets(bytes([byte]))]
    assert found == [(0x30, b"\1\2\3"), (0xD0, b""), (0x30, bytes(128))]


def test_the_proxy_records_what_was_acknowledged_only():
    publish = bytes([0x32, 12, 0, 5]) + b"a/evt" + b"\0\7" + b"\0" + b"{}"
    unanswered = bytes([0x32, 12, 0, 5]) + b"b/evt" + b"\0\x08" + b"\0" + b"{}"

    def behave(client: ClientConnection) -> None:
        client.sock.sendall(CONNACK_5)
        client.read()
        client.read()
        client.acknowledge(7)
        client.read()

    with (
        FakeBroker(behave) as broker,
        RecordingProxy(broker.port) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port)) as client,
    ):
        client.sendall(bytes([0x10, 10, 0, 4]) + b"MQTT" + bytes([5, 0, 0, 0]))
        client.sendall(publish + unanswered)
        assert proxy.wait_until(lambda: proxy.acknowledged)
        assert [m.topic for m in proxy.acknowledged] == ["a/evt"]
        assert proxy.acknowledged[0].document == {}


def test_the_table_has_a_row_for_each_fault():
    findings = Findings(3, [0.5], [2.0, 7.25], SampleLoss(10, 11), 0, 1, 0, ["it broke"])
    text = report([Result("sigkill", "SIGKILL of the daemon", findings)])
    row = text.splitlines()[2]
    assert row == "| SIGKILL of the daemon | 3 | 0.5 s | 7.2 s | 10 ≠ 11 | 0 | 1 | 0 |"
    assert "- sigkill: it broke" in text


def test_the_findings_of_several_boxes_are_added():
    findings = Findings()
    for counted, true in ((3, 0), (5, 9)):
        findings.add_loss(SampleLoss(counted, true))
        findings.add_events(1, 0, counted)
    assert findings.loss == SampleLoss(8, 9)
    assert (findings.unacknowledged, findings.equal_id, findings.other_id) == (2, 0, 8)


def test_a_fault_that_is_not_injected_is_not_counted():
    findings = Findings(3)
    findings.leave_out(2, "no disk")
    assert (findings.times, findings.notes) == (1, ["not injected: no disk"])


def test_the_true_loss_is_the_time_without_received_samples():
    before = (10.0, {"sample": 16_000, "lost_samples": 0})
    after = (20.0, {"sample": 160_000, "lost_samples": 30_000})
    loss = measured_loss(before, after)
    assert (loss.counted, loss.true) == (30_000, 160_000 - (144_000 - 30_000))
    assert loss.is_right
    not_counted = measured_loss(before, (20.0, {"sample": 112_000, "lost_samples": 0}))
    assert (not_counted.counted, not_counted.true) == (0, 64_000)
    assert not not_counted.is_right


def test_results_of_runs_one_after_the_other_are_joined(tmp_path):
    never = Findings(3, [0.5], [float("inf")], SampleLoss(10, 11, 2), 0, 1, 0, ["broke"], ["note"])
    save_result(tmp_path, Result("one", "One", Findings(1)))
    save_result(tmp_path, Result("two", "Two", Findings(2)))
    save_result(tmp_path, Result("one", "One", never))
    found = [Result("one", "One", never), Result("two", "Two", Findings(2))]
    assert load_results(tmp_path) == load_results(tmp_path / FILE_NAME) == found


def test_results_before_and_after_are_in_one_table(tmp_path, capsys, monkeypatch):
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
    save_result(before, Result("one", "One", Findings(3, [0.5], [7.0], problems=["it broke"])))
    save_result(after, Result("one", "One", Findings(3, [0.5], [2.0])))
    save_result(after, Result("new", "New", Findings(1)))
    monkeypatch.setattr("sys.argv", ["chaos", "--compare", str(before), str(after)])
    assert command.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| One | 3 | 0.5 s | 7.0 s → 2.0 s | – | – | – | – |"
    assert lines[3] == "| New | not injected → 1 | – | – | – | – | – | – |"
    assert lines[5:] == ["Problems before:", "", "- one: it broke"]


def test_a_file_that_has_no_results_is_refused(tmp_path, monkeypatch):
    (tmp_path / FILE_NAME).write_text('{"a": 1}')
    monkeypatch.setattr("sys.argv", ["chaos", "--compare", str(tmp_path)])
    with pytest.raises(SystemExit):
        command.main()


def test_names_of_faults_are_unique():
    names = [each.name for each in command.SCENARIOS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("mode", ["cut", "bits"])
def test_a_damaged_journal_is_never_silently_different(mode):
    found = journal_child.run(mode, 15, seed=3)
    assert found["failures"] == []


def test_a_loss_without_a_report_is_a_failure(monkeypatch):
    original = journal_child.content

    def without_one(journal):
        found = original(journal)
        return dict(list(found.items())[1:])

    specimens = journal_child.make_specimens()
    monkeypatch.setattr(journal_child, "content", without_one)
    reports = journal_child.Reports()
    with pytest.raises(journal_child.CaseError, match="silently lost"):
        journal_child.try_case(specimens.variants[0], specimens, reports, cut_log=False)


@pytest.mark.parametrize(
    ("names", "selected"),
    [
        (["sigkill"], ["sigkill"]),
        (["sigk"], ["sigkill", "sigkill-at-writes"]),
        (["packets", "sigterm"], ["sigterm", "packets"]),
    ],
)
def test_a_name_selects_one_fault_and_a_begin_several(names, selected):
    assert [each.name for each in command.select(names)] == selected


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no fault nothing"):
        command.select(["nothing"])


def test_help_names_the_duration(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["chaos", "--list"])
    assert command.main() == 0
    assert "SIGKILL of the daemon" in capsys.readouterr().out


def test_nothing_is_written_without_an_output(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["chaos", "--only", "sigkill"])
    with pytest.raises(SystemExit):
        command.main()
    assert not list(Path(tmp_path).iterdir())
