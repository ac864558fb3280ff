"""The section `http:` of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_monitor.config.listen_address import host_and_port, is_loopback, parse_listen
from asd_monitor.config.loading import ConfigError, load_config
from asd_monitor.config.settings import Http
from asd_monitor.errors import UsageError

MACHINES = "machines: {fan01: {device: 'hw:1'}}\n"


def load(folder: Path, http: str, **environ: str) -> Http | None:
    path = folder / "edge.yaml"
    path.write_text(f"version: 1\nbox: edge\n{http}{MACHINES}")
    return load_config(path, environ=environ).http


def test_there_is_no_page_by_default(tmp_path: Path) -> None:
    assert load(tmp_path, "") is None
    assert load(tmp_path, "http: null\n") is None


def test_it_listens_on_loopback_by_default(tmp_path: Path) -> None:
    assert load(tmp_path, "http: {}\n") == Http(listen="127.0.0.1:9464")


def test_the_path_of_the_token_begins_at_the_file(tmp_path: Path) -> None:
    http = load(tmp_path, "http: {listen: '0.0.0.0:80', token_file: page.token}\n")
    assert http is not None
    assert http.token_file == tmp_path / "page.token"


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "10.0.0.5:9464", "'[::]:9464'"])
def test_what_others_can_reach_needs_a_token(tmp_path: Path, listen: str) -> None:
    with pytest.raises(ConfigError, match=r"edge.yaml:3:16: http.listen: .*needs a token"):
        load(tmp_path, f"http: {{listen: {listen}}}\n")
    (tmp_path / "http_token").write_text("a token of systemd\n")
    http = load(tmp_path, f"http: {{listen: {listen}}}\n", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert http is not None
    assert http.token_file == tmp_path / "http_token"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:9464", "127.0.0.1:9464"),
        ("localhost:80", "127.0.0.1:80"),
        ("[::1]:9464", "[::1]:9464"),
        ("[0:0:0:0:0:0:0:1]:09464", "[::1]:9464"),
    ],
)
def test_addresses_are_accepted(text: str, parsed: str) -> None:
    assert parse_listen(text) == parsed
    assert parse_listen(parsed) == parsed
    assert is_loopback(parsed)


@pytest.mark.parametrize(
    "text",
    ["9464", ":9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "box:9464", "::1:9464",
     "[127.0.0.1]:9464", "127.0.0.1:²", "http://127.0.0.1:9464", 9464, None, ["x"]],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(UsageError, match="9464"):
        parse_listen(text)


def test_host_and_port_of_ipv6() -> None:
    assert host_and_port("[::1]:9464") == ("::1", 9464)
