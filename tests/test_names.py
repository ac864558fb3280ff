"""Rules for ids and topic prefixes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_monitor.errors import UsageError
from asd_monitor.names import check_id, check_topic_prefix, unknown_machine


@pytest.mark.parametrize("text", ["fan01", "a", "0", "A.b_c-d", "x" * 64])
def test_valid_ids(text: str) -> None:
    assert check_id(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "box", "..", ".", "../x", "a/b", "+", "#", "a+", "a#", "-a", "_a", "a b", "fan01\n",
     "a\0", "ä", "ａ", "x" * 65],
)  # fmt: skip
def test_invalid_ids_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be an id: .+"):
        check_id(text)


@given(st.text(max_size=70))
def test_an_id_is_one_folder_and_one_topic_level(text: str) -> None:
    try:
        check_id(text)
    except UsageError:
        assert text == "box" or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text)
        return
    assert not set(text) & set("/+#\0 $")
    assert text not in {"", ".", "..", "box"}


@pytest.mark.parametrize("prefix", ["asd", "works/hall2/asd", "Werk-Süd/asd", "x" * 200])
def test_valid_prefixes(prefix: str) -> None:
    assert check_topic_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix",
    ["", "/", "/asd", "asd/", "a//b", "asd/+", "#", "$SYS", "a$", "a b", "a\nb", "a\0", "a\x85",
     "x" * 201, "a\ud800"],
)  # fmt: skip
def test_invalid_prefixes_are_refused(prefix: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be a topic prefix: .+"):
        check_topic_prefix(prefix)


@pytest.mark.parametrize(
    ("known", "remedy"),
    [
        (["fan01", "pump02"], "did you mean fan01?"),
        (["Fan-1"], "did you mean Fan-1?"),
        (["pump02", "mill"], "choose one of mill, pump02"),
        ([f"x{n:02}" for n in range(20)], "choose one of x00, x01, x02, x03, x04, x05, x06, x07, "),
        ([], "there are no machines yet"),
    ],
)
def test_an_unknown_machine_is_refused_with_a_suggestion(known: list[str], remedy: str) -> None:
    error = unknown_machine("fan1", known, "models")
    assert str(error).startswith(f"models: there is no machine fan1: {remedy}")
    assert len(str(error)) < 120
