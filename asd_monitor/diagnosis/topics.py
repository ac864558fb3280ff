"""Checks of the topics: what the probes have shown → findings; pure."""

from __future__ import annotations

from collections.abc import Iterator

from asd_monitor.config.settings import Mqtt
from asd_monitor.diagnosis.findings import Area, Check, Finding
from asd_monitor.diagnosis.topic_probe import Outcome
from asd_monitor.publish.broker_diagnostics import (
    is_failure,
    publish_remedy,
    reason_text,
    subscribe_remedy,
)


def check_topic(outcome: Outcome, mqtt: Mqtt, *, is_version_5: bool) -> Iterator[Finding]:
    """Yield the findings of one topic."""
    if outcome.is_foreign:
        yield _check(outcome).not_checked("another daemon publishes there, and it is left alone")
    elif outcome.use.is_command:
        yield _command(outcome, mqtt)
    elif not outcome.use.writes:
        yield _read_only(outcome, mqtt)
    elif not outcome.is_probed:
        yield _left_alone(outcome)
    else:
        yield from _probed(outcome, mqtt, is_version_5=is_version_5)


def _check(outcome: Outcome) -> Check:
    return Check(Area.BROKER, "topic", outcome.use.topic)


def _read_only(outcome: Outcome, mqtt: Mqtt) -> Finding:
    check, topic = _check(outcome), outcome.use.topic
    code = outcome.subscribed
    if code is None:
        return check.failed("the broker has not answered the subscription", "see its log")
    if is_failure(code):
        what = f"the broker refuses to let it be read: {reason_text(code)}"
        return check.failed(what, subscribe_remedy(code, topic, mqtt))
    if outcome.retained is not None:
        return check.ok("can be read, and has a message")
    return check.not_checked(
        "the broker accepts the subscription; no message is retained there",
        f"let the plant's controls publish it with retain, and see that this user may read {topic}",
    )


def _command(outcome: Outcome, mqtt: Mqtt) -> Finding:
    check, topic = _check(outcome), outcome.use.topic
    subscribed, code = outcome.subscribed, outcome.code
    if subscribed is not None and is_failure(subscribed):
        what = f"the broker refuses to let commands be read: {reason_text(subscribed)}"
        return check.failed(what, subscribe_remedy(subscribed, topic, mqtt))
    if outcome.is_returned:
        return check.ok("commands are delivered")
    if code is not None and is_failure(code):
        return check.not_checked(
            "the subscription is accepted, and this user may not send commands, as it should be",
            f"send one as another user, and see the answer: `mosquitto_pub -t {topic} -m ID`",
        )
    return check.warning(
        "a command that was published there did not come back",
        f"allow this user to read {topic} in the broker's access rules",
    )


def _left_alone(outcome: Outcome) -> Finding:
    check = _check(outcome)
    if outcome.retained is not None:
        return check.ok("the running daemon has a message there")
    if outcome.use.needs_reading:
        return check.warning(
            "a daemon runs, and no message of it can be read there",
            "allow this user to read and write it in the broker's access rules; see the conditions "
            "of the box",
        )
    return check.not_checked(
        "a daemon runs, whose retained messages are left alone",
        "stop it and run doctor again, to test this topic",
    )


def _probed(outcome: Outcome, mqtt: Mqtt, *, is_version_5: bool) -> Iterator[Finding]:
    check, topic, code = _check(outcome), outcome.use.topic, outcome.code
    if outcome.end is not None:
        kind = "a retained message" if outcome.is_retained is False else "a message"
        remedy = outcome.end.remedy
        if outcome.is_retained is False:
            remedy = "let the broker accept retained messages, also by its access rules"
        yield check.failed(
            f"the broker closes the connection at {kind}: {outcome.end.reason}", remedy
        )
        return
    if code is None:
        yield check.failed(
            "the broker has not acknowledged a message", "look at its load and its log"
        )
        return
    if is_failure(code):
        yield check.failed(
            f"the broker refuses messages: {reason_text(code)}", publish_remedy(code, topic, mqtt)
        )
        return
    if outcome.is_retained is False:
        yield check.failed(
            "the broker does not keep a retained message",
            "let it retain messages: subscribers that connect later see no state otherwise",
        )
    elif outcome.is_returned:
        kept = ", and retained" if outcome.is_retained else ""
        yield check.ok(f"messages are accepted and delivered{kept}")
    elif outcome.use.needs_reading:
        yield check.failed(
            "a message is accepted and does not come back",
            f"allow this user to read and write {topic} in the broker's access rules",
        )
    elif is_version_5:
        yield check.ok("messages are accepted; this user does not read them")
    else:
        yield check.warning(
            "MQTT 3.1.1 does not say whether a message is accepted; this one did not come back",
            f"allow this user to read and write {topic}, or use a broker with MQTT 5",
        )
