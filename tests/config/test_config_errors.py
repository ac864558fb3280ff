"""Errors of a configuration: each with its place and the remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from asd_monitor.config.loading import ConfigError, load_config, read_config
from asd_monitor.config.settings import Config
from asd_monitor.errors import UsageError
from tests.doubles.command_line import without_privileges
from tests.doubles.config_files import SMALLEST, errors, limited_memory


def test_all_errors_are_reported_with_their_places(file: Path) -> None:
    text = """\
version: 1
box: 7
mqtt: {host: h, prt: 1883, tls: {key: a}, password_file: x, password: y}
defaults:
  hop: 0.2
  alarm: {false_alarms: 1 per fortnight, latch: "yes", on_delay_s: -1}
machines:
  fan01: {device: "hw:1", channel: left}
  ../x: {device: hw:1#2, channel: 1}
  pump: {alarm: {false_alarm: 1 per week}, hop_s: 9, window_s: 4}
  pump: {device: 3}
  empty:
  late: {device: "usb-pth:1-1"}
extra: 1
"""
    found = errors(file, text)
    starts = [
        "2:6: box: 7 is not text",
        "3:17: mqtt: unknown key 'prt': did you mean 'port'?",
        "3:39: mqtt.tls.key: a key without its certificate: add `cert:`",
        "3:58: mqtt.password_file: a password without a user: add `username:`",
        "3:61: mqtt: unknown key 'password': secrets are not kept in this file",
        "5:3: defaults: unknown key 'hop': did you mean 'hop_s'?",
        "6:25: defaults.alarm.false_alarms: '1 per fortnight' is not a budget: write",
        "6:49: defaults.alarm.latch: 'yes' is not true or false: write",
        "6:68: defaults.alarm.on_delay_s: -1 is out of range: write at least 0",
        "8:36: machines.fan01.channel: 'left' is not a whole number: write",
        "9:3: machines: '../x' cannot be an id: use up to 64 letters",
        "9:35: machines.'../x'.channel: the device 'hw:1#2' has a channel already: remove",
        "10:9: machines.pump: the key 'device' is missing: add `device: hw:1`",
        "10:18: machines.pump.alarm: unknown key 'false_alarm': did you mean 'false_alarms'?",
        "10:51: machines.pump.hop_s: a hop of 9 s leaves gaps between windows of 4 s: write",
        "11:3: 'pump' is already set in line 10: remove one of the two",
        "12:9: machines.empty: the value is missing: write keys with values",
        "13:18: machines.late.device: device 'usb-pth:1-1': ",
        "14:1: unknown key 'extra': the keys here are version, box, mqtt, inference, http,",
    ]
    for line, start in zip(found, starts, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: the file is empty: begin with"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("~\n", "1:1: the file is empty"),
        ("hello\n", "1:1: the file must consist of keys with values: begin with `version: 1`"),
        ("- a\n", "1:1: the file must consist of keys"),
        ("version: 2\nmachines: {}\n", "1:10: version 2 is not known: this release"),
        (
            "machines: {a: {device: default}}\n",
            "1:1: the key 'version' is missing: add `version: 1`",
        ),
        ("version: 1\n", "1:1: the key 'machines' is missing: add `machines: "),
        ("version: 1\nmachines: {}\n", "2:11: machines: this is empty: write a value, such as"),
        ("version: 1\nmachines:\n\tfan01: x\n", "3:1: not valid YAML, found character '\\t'"),
        ("version: 1\nmachines: {a: {device: hw:1, 0}}\n", "2:30: '0' has no value: "),
        ("version: 1\nmqtt: {host: [a}\n", "2:16: not valid YAML, expected ',' or ']'"),
        (
            "version: 1\nbox: a: b\n",
            "2:7: not valid YAML, mapping values are not allowed here: put",
        ),
        ("version: 1\n---\nversion: 1\n", "2:1: not valid YAML, but found another document: keep"),
        ("box: *a\n", "1:6: not valid YAML, found undefined alias 'a': define"),
        ("? {a: 1}\n: 2\n", "1:1: the key 'machines' is missing"),
        ("<<: {a: 1}\n" + SMALLEST, "1:1: '<<' is not supported: put shared settings"),
        ("box: !!python/object:os.system {}\n" + SMALLEST, "1:6: the tag 'tag:yaml.org,2002:py"),
        ("mqtt: !!set {host}\n" + SMALLEST, "1:7: the tag 'tag:yaml.org,2002:set' is not known"),
        ("box: !x a\n" + SMALLEST, "1:6: 'a' cannot be read (could not determine a constructor"),
        ("box: !!int x\n" + SMALLEST, "1:6: 'x' cannot be read ("),
        (b"version: 1\nbox: caf\xe9\n", "2:9: the text is not UTF-8: save the file as UTF-8"),
        (
            b"version: 1\nbox: \x07\n",
            "2:6: the character '\\x07' is not allowed in YAML: remove it",
        ),
        ("[" * 1200, "1:21: nested too deeply"),
        ("a: &a [*a]\n", "1:4: nested too deeply"),
        ('box: "\\UFFFFFFFF"\n', r"1:7: \UFFFFFFFF is not a character: write at most \U0010FFFF"),
        ('box: "\\U00110000"\n', r"1:7: \U00110000 is not a character"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: 1\n", "1:7: not valid YAML (Exceeds the limit"),
        ('box: "\\uD800"\n' + SMALLEST, r"1:6: '\ud800' contains \ud800, which is not a printable"),
        (
            'mqtt: {username: u, password_file: "a\\0b"}\n' + SMALLEST,
            r"1:36: 'a\x00b' contains \x00, which is not a printable character: remove it",
        ),
        ('"\\0": 1\n' + SMALLEST, r"1:1: '\x00' contains \x00"),
        ("version: 0x" + "f" * 100_000 + "\n" + "machines: {a: {device: default}}", "1:10: '0xff"),
        ("mqtt: {port: " + "9" * 100_000 + "}\n" + SMALLEST, "1:14: '9999"),
        ("defaults: {hop_s: " + "9" * 400 + "}\n" + SMALLEST, "1:19: '9999"),
        ("defaults: {hop_s: 1" + ":1" * 2000 + ".5}\n" + SMALLEST, "1:19: '1:1:1"),
        ("mqtt: {" + "k" * 5000 + ": 1}\n" + SMALLEST, "1:5008: not valid YAML, expected ','"),
        ("? " + "k" * 5000 + "\n: 1\n" + SMALLEST, "1:3: 'kkk"),
        ("box: 2026-13-45\n" + SMALLEST, "1:6: '2026-13-45' cannot be read (month must be"),
        (SMALLEST.encode("utf-16"), "1:1: the text is not UTF-8"),
    ],
)
def test_text_that_is_not_a_configuration(file: Path, text: str | bytes, message: str) -> None:
    assert errors(file, text)[0].startswith(message)


def test_an_expansion_of_aliases_is_refused(file: Path) -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    (line,) = errors(file, "\n".join(lines))
    assert line.startswith("1:")  # where the values are that the last alias repeats
    assert "nested too deeply, or too many values" in line


def test_a_version_that_is_not_known_hides_no_other_error(file: Path) -> None:
    version, key = errors(file, "version: 2\nprt: 1\nmachines: {fan01: {device: 'hw:1'}}\n")
    assert version.startswith("1:10: version 2 is not known")
    assert key.startswith("2:1: unknown key 'prt'")


def test_a_value_that_cannot_be_read_has_one_error(file: Path) -> None:
    (line,) = errors(file, "mqtt: {port: !!int x}\n" + SMALLEST)
    assert line.startswith("1:14: 'x' cannot be read (")


def test_the_channel_is_checked_together_with_its_device(file: Path) -> None:
    (line,) = errors(file, "version: 1\nmachines: {fan01: {device: 'hw:1 ', channel: 0}}\n")
    assert line.startswith("2:28: machines.fan01.device: device 'hw:1 #0'")


def test_each_line_of_a_file_with_large_values_is_short(file: Path) -> None:
    text = f"version: {'9' * 19}\nbox: {'x' * 4000}\n? {'k' * 4000}\n: 1\n? {'m' * 70}\n: [1]\n"
    found = errors(file, f"{text}mqtt: {{port: 0x{'f' * 3000}, username: {'9' * 15}, tls: 1}}\n")
    assert len(found) == 8
    assert max(map(len, found)) < 300


@pytest.mark.timeout(60)
def test_many_keys_of_many_machines_are_read_within_bounds(file: Path) -> None:
    keys = "".join(f"  k{n}: 1\n" for n in range(3000))
    machines = "".join(f"  m{n}: {{}}\n" for n in range(1000))
    text = f"version: 1\ndefaults:\n{keys}machines:\n{machines}"
    with limited_memory(200_000_000):
        found = errors(file, text)
    assert found[0].startswith("3:3: defaults: unknown key 'k0'")
    assert found[-1].endswith("more errors follow: correct these first")
    too_many = f"version: 1\nmachines:\n{machines}  x: {{device: default}}\n"
    assert (
        "machines: 1001 are too many for one box: write at most 1000" in errors(file, too_many)[0]
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mqtt: {port: 0}", "port: 0 is out of range: write at least 1, such as `port: 1883`"),
        ("mqtt: {port: 65536}", "at most 65535"),
        ("mqtt: {port: '1883'}", "'1883' is not a whole number"),
        ("mqtt: {port: 1883.5}", "1883.5 is not a whole number"),
        ("mqtt: {host: ''}", "this is empty: write a value, such as `host: localhost`"),
        ("mqtt: {host: local host}", "'local host' cannot be the name of a computer: write"),
        ("mqtt: {host: 'mqtt://plant'}", "'mqtt://plant' cannot be the name of a computer"),
        ("mqtt: {prefix: a/#}", "'a/#' cannot be a topic prefix: use at most 200"),
        ("mqtt: {prefix: /a}", "cannot be a topic prefix"),
        ("mqtt: {prefix: a//b}", "cannot be a topic prefix"),
        ("mqtt: {prefix: $SYS}", "cannot be a topic prefix"),
        (
            "mqtt: {tls: true}",
            "true instead of keys with values: write keys with values, such as `tls: {ca: ",
        ),
        ("mqtt: {commands: 1}", "1 is not true or false"),
        (
            "inference: {provider: gpu}",
            "'gpu' is not 'cpu' or 'cuda': write 'cpu' or 'cuda', such as `provider: cpu`",
        ),
        ("inference: {threads: 0}", "0 is out of range: write at least 1, such as `threads: 1`"),
        ("inference: {threads: all}", "'all' is not a whole number"),
        ("inference: {thread: 2}", "unknown key 'thread': did you mean 'threads'?"),
        ("provider: cuda", "unknown key 'provider': it belongs under `inference`"),
        ("defaults: {window_s: .nan}", ".nan is not a finite number"),
        ("defaults: {window_s: .inf}", ".inf is not a finite number"),
        ("defaults: {window_s: 11}", "at most 10"),
        (
            "defaults: {window_s: 0.7, hop_s: 0.8}",
            "a hop of 0.8 s leaves gaps between windows of 0.7 s",
        ),
        ("defaults: {hop_s: true}", "true is not a number"),
        ("defaults: {alarm: {false_alarms: 1}}", "1 is not a budget: write"),
        ("defaults: {alarm: {on_delay_s: 3 s}}", "'3 s' is not a number: write a number, such as"),
        ("defaults: {evidence: {max_bytes: 2 gigabytes}}", "'2 gigabytes' is not a size: write"),
        ("defaults: {learn: 10s}", "10s is too short to train a model: write at least `60s`"),
        ("defaults: {device: x}", "unknown key 'device': it belongs under `machines.MACHINE`"),
        ("defaults: {on_delay_s: 3}", "it belongs under `defaults.alarm`"),
        ("box: box", "'box' cannot be an id"),
    ],
)
def test_each_invalid_value_has_a_remedy(file: Path, setting: str, message: str) -> None:
    (line,) = errors(file, f"{setting}\n{SMALLEST}")
    assert line.startswith("1:")
    assert message in line


def test_what_this_computer_lacks_is_an_error_at_the_setting(file: Path) -> None:
    def lacking(config: Config) -> None:
        raise UsageError(f"no {config.inference.provider} here")

    file.write_text("version: 1\ninference: {provider: cuda}\nmachines: {fan01: {device: x}}\n")
    assert read_config(file).config.inference.provider == "cuda"
    with pytest.raises(ConfigError, match=r"edge.yaml:2:23: inference.provider: no cuda here$"):
        read_config(file, checks={("inference", "provider"): lacking})


def test_an_error_in_the_defaults_is_reported_once(file: Path) -> None:
    machines = "".join(f"  m{i}: {{device: 'hw:{i}'}}\n" for i in range(20))
    text = f"version: 1\ndefaults: {{hop_s: x}}\nmachines:\n{machines}"
    assert len(errors(file, text)) == 1


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: no such file: correct the path"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="this is a folder: name a file in it"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be read \(Not a directory\): correct the path"):
        load_config(Path(__file__) / "edge.yaml")


def test_only_a_regular_file_of_limited_size_is_read(file: Path) -> None:
    os.mkfifo(file)
    for path in (file, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="is not a regular file: name a configuration"):
            load_config(path)
    file.unlink()
    file.write_bytes(b"#" * 600_000)
    with pytest.raises(ConfigError, match=r"is larger than 0.5 MiB: name a configuration file"):
        load_config(file)


def test_a_file_without_read_permission(open_folder: Path) -> None:
    file = open_folder / "edge.yaml"
    file.write_text(SMALLEST)
    file.chmod(0)
    with (
        without_privileges(),
        pytest.raises(ConfigError, match=rf"no permission to read it: `sudo chmod a\+r {file}`"),
    ):
        load_config(file)


def test_a_file_in_a_folder_without_permission(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0)
    with (
        without_privileges(),
        pytest.raises(ConfigError, match=f"no permission for the folder {closed}: move the file"),
    ):
        load_config(closed / "edge.yaml")
