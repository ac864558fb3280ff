"""No id can leave its level or act as a wildcard."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from asd_monitor.errors import UsageError
from asd_monitor.publish.topics import Topics, box_level, check_prefix, check_topic, machine_level
from asd_monitor.records import ID_PATTERN

IDS = st.from_regex(ID_PATTERN, fullmatch=True).filter(lambda text: text != "box")


def test_the_topics_of_the_contract() -> None:
    topics = Topics("asd", "edge-07")
    assert topics.score("fan01") == "asd/fan01/score"
    assert topics.state("fan01") == "asd/fan01/state"
    assert topics.alarm("fan01") == "asd/fan01/alarm"
    assert topics.event("fan01") == "asd/fan01/event"
    assert topics.availability == "asd/box/edge-07/availability"
    assert topics.status == "asd/box/edge-07/status"


@given(machine=IDS, box=IDS, levels=st.lists(IDS, min_size=1, max_size=3))
def test_each_machine_has_topics_of_its_own(machine: str, box: str, levels: list[str]) -> None:
    prefix = "/".join(levels)
    topics = Topics(prefix, box)
    for topic in (topics.score(machine), topics.state(machine), topics.availability):
        assert check_topic(topic) == topic
        assert topic_matches_sub(f"{prefix}/#", topic)
    assert topic_matches_sub(f"{prefix}/+/state", topics.state(machine))
    assert not topic_matches_sub(f"{prefix}/+/+", topics.availability)


@pytest.mark.parametrize(
    "text",
    ["", "../x", "a/b", "+", "#", "a+", "a#", "-a", ".", "..", "_a", "a b", "a\n", "a\0", "ä", "ａ",
     "x" * 65],
)  # fmt: skip
def test_bad_ids_are_refused(text: str) -> None:
    for check in (machine_level, box_level, Topics("asd", "edge").state):
        with pytest.raises(UsageError, match="letters"):
            check(text)


@given(st.text(max_size=70))
def test_an_id_that_passes_is_one_plain_level(text: str) -> None:
    try:
        level = machine_level(text)
    except UsageError:
        assert text == "box" or not re.fullmatch(ID_PATTERN, text)
        return
    assert level == text
    assert not set(level) & set("/+#\0 $")
    assert level not in {"", ".", "..", "box"}


def test_a_machine_is_never_called_box() -> None:
    with pytest.raises(UsageError, match="taken"):
        machine_level("box")


@pytest.mark.parametrize("prefix", ["asd", "works/hall 2/asd", "Werk-Süd/asd"])
def test_prefixes_may_have_levels(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix",
    ["", "/", "/asd", "asd/", "a//b", "asd/+", "#", "$SYS", "a\nb", "a\0", "x" * 201, "a\ud800"],
)
def test_bad_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(UsageError, match="MQTT prefix"):
        Topics(prefix, "edge")
