"""Topics of a box and its machines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from asd_monitor.errors import UsageError
from asd_monitor.names import ID_PATTERN
from asd_monitor.publish.topics import Topics, check_topic

IDS = st.from_regex(ID_PATTERN, fullmatch=True).filter(lambda text: text != "box")


def test_topics_of_the_contract() -> None:
    topics = Topics("asd", "edge-07")
    assert topics.score("fan01") == "asd/fan01/score"
    assert topics.state("fan01") == "asd/fan01/state"
    assert topics.alarm("fan01") == "asd/fan01/alarm"
    assert topics.event("fan01") == "asd/fan01/event"
    assert topics.availability == "asd/box/edge-07/availability"
    assert topics.status == "asd/box/edge-07/status"


@given(machine=IDS, box=IDS, levels=st.lists(IDS, min_size=1, max_size=3))
def test_each_machine_has_its_own_topics(machine: str, box: str, levels: list[str]) -> None:
    prefix = "/".join(levels)
    topics = Topics(prefix, box)
    for topic in (topics.score(machine), topics.state(machine), topics.availability):
        assert check_topic(topic) == topic
        assert topic_matches_sub(f"{prefix}/#", topic)
    assert topic_matches_sub(f"{prefix}/+/state", topics.state(machine))
    assert not topic_matches_sub(f"{prefix}/+/+", topics.availability)


@given(machine=IDS, box=IDS, levels=st.lists(IDS, min_size=1, max_size=3))
def test_the_machine_of_a_topic(machine: str, box: str, levels: list[str]) -> None:
    topics = Topics("/".join(levels), box)
    for topic in (topics.score(machine), topics.event(machine), topics.picture(machine)):
        assert topics.machine(topic) == machine
    assert topics.machine(f"of-others/{machine}/state") is None
    for topic in (topics.availability, topics.status, topics.self_test_echo, topics.box_alarm):
        assert topics.machine(topic) is None


@given(machine=IDS, box=IDS, levels=st.lists(IDS, min_size=1, max_size=3), verb=IDS)
def test_the_command_of_a_topic(machine: str, box: str, levels: list[str], verb: str) -> None:
    prefix = "/".join(levels)
    topics = Topics(prefix, box)
    topic = f"{prefix}/{machine}/cmd/{verb}"
    assert topic_matches_sub(topics.commands(machine), topic)
    assert topics.command(topic) == (machine, verb)
    assert topics.response(machine, verb) == f"{topic}/response"
    assert not topic_matches_sub(topics.commands(machine), topics.response(machine, verb))


def test_invalid_names_are_refused() -> None:
    with pytest.raises(UsageError, match="topic prefix"):
        Topics("asd/#", "edge")
    with pytest.raises(UsageError, match="'a/b' cannot be an id"):
        Topics("asd", "a/b")
    topics = Topics("asd", "edge")
    for topic in (topics.score, topics.state, topics.alarm, topics.event):
        with pytest.raises(UsageError, match="'box' cannot be an id"):
            topic("box")
