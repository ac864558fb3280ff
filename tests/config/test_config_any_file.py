"""Loading of arbitrary files: a configuration or errors with their places, no exception."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_monitor.audio.devices.device_strings import parse_device
from asd_monitor.config.loading import ConfigError, load_config
from tests.doubles.config_files import HOST

TEXTS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(str.encode),
    st.text(alphabet="abx:{}[]&*!|>-'\"#,?~ \n\t019.<", max_size=80).map(str.encode),
)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["version", "box", "mqtt", "defaults", "machines", "alarm", "tls", "device",
                 "channel", "hop_s", "window_s", "learn", "fan01", "key", "cert", "evidence"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


def problems_of(file: Path) -> tuple[str, ...]:
    try:
        load_config(file, parse_device, {}, host=HOST)
    except ConfigError as error:
        return error.problems or ("an error without a problem",)
    return ()


@settings(deadline=None, max_examples=100)
@given(st.one_of(TEXTS, VALUES.map(lambda value: yaml.safe_dump(value).encode())))
def test_any_file_is_loaded_or_its_errors_are_reported(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    for problem in problems_of(file):
        line, column, message = problem.removeprefix(f"{file}:").split(":", 2)
        assert int(line) >= 1
        assert int(column) >= 1
        assert message.strip()


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_errors_of_any_value_have_the_file_name(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    file = tmp_path_factory.getbasetemp() / "placed.yaml"
    text = yaml.safe_dump({"version": 1, "machines": {"fan01": value}, "defaults": value})
    file.write_text(text)
    assert all(problem.startswith(f"{file}:") for problem in problems_of(file))
