"""A mosquitto broker on a free port of loopback, and a client that subscribes to it."""

from __future__ import annotations

import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.mosquitto import MosquittoProcess, find_program
from benchmarks.mqtt_subscriber import MqttSubscriber

PATIENCE_S = 30.0


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        pytest.skip(f"{name} is not installed (apt install mosquitto openssl)")
    return found


@dataclass(frozen=True)
class Certificates:
    """PEM files of `make_certificates`; the broker's name is ``localhost``."""

    ca: Path
    broker_cert: Path
    broker_key: Path
    client_cert: Path
    client_key: Path
    encrypted_key: Path

    def broker_certificate(
        self, name: str, *, host: str = "localhost", days: int = 2
    ) -> Certificates:
        """Return these with another certificate of the broker, for a host and so many days."""
        folder = self.ca.parent
        _issue(folder, name, f"subjectAltName=DNS:{host}\n", days)
        return replace(self, broker_cert=folder / f"{name}.pem", broker_key=folder / f"{name}.key")


_LOCAL = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run([_program("openssl"), *arguments], cwd=folder, check=True, capture_output=True)


def _issue(folder: Path, name: str, names: str, days: int) -> None:
    """Write NAME.pem and NAME.key, issued by the authority in the folder."""
    (folder / "san").write_text(names)
    _openssl(folder, "req", *_CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr",
             "-subj", f"/CN={name}")  # fmt: skip
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
             "-CAcreateserial", "-out", f"{name}.pem", "-days", str(days),
             "-extfile", "san")  # fmt: skip


def make_certificates(folder: Path) -> Certificates:
    """Create an authority with a certificate of a broker and of a client; ECDSA, two days."""
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(folder, "req", "-x509", *_CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
             "-subj", "/CN=test authority",
             "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    for name in ("localhost", "client"):
        _issue(folder, name, _LOCAL, 2)
    _openssl(folder, "ec", "-in", "client.key", "-aes128", "-passout", "pass:secret",
             "-out", "encrypted.key")  # fmt: skip
    return Certificates(
        folder / "ca.pem",
        folder / "localhost.pem",
        folder / "localhost.key",
        folder / "client.pem",
        folder / "client.key",
        folder / "encrypted.key",
    )


class Mosquitto:
    """A broker that can be stopped and started again on the same port, without persistence.

    ``users`` maps names to passwords; ``acl`` is the text of an access list; with ``tls`` it
    accepts TLS only; ``client_certificates`` requires them; ``extra`` are further lines of its
    configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: dict[str, str] | None = None,
        acl: str | None = None,
        tls: Certificates | None = None,
        client_certificates: bool = False,
        extra: str = "",
    ) -> None:
        _program("mosquitto")
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._log: list[str] = []
        self._changed = threading.Condition()
        lines = [
            "allow_anonymous " + ("true" if users is None else "false"),
            "log_dest stderr",
            "log_type all",
            "persistence false",
        ]
        if users is not None:
            lines.append(f"password_file {folder / 'users'}")
            self.set_users(users)
        if acl is not None:
            lines.append(f"acl_file {folder / 'acl'}")
            self.set_acl(acl)
        if tls is not None:
            lines += [f"certfile {tls.broker_cert}", f"keyfile {tls.broker_key}"]
            lines += [f"cafile {tls.ca}"] if client_certificates else []
            lines += [f"require_certificate {str(client_certificates).lower()}"]
        self._broker = MosquittoProcess(folder, [*lines, extra], log=subprocess.PIPE)
        self.port = self._broker.port

    def set_users(self, users: dict[str, str]) -> None:
        """Write the password file, which is read at the next start."""
        path = self._folder / "users"
        path.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
        path.chmod(0o600)
        subprocess.run([_program("mosquitto_passwd"), "-U", path], check=True, capture_output=True)

    def set_acl(self, acl: str) -> None:
        """Write the access list, which is read at the next start."""
        path = self._folder / "acl"
        path.write_text(acl)
        path.chmod(0o600)

    def start(self) -> Mosquitto:
        """Start it and wait until it accepts connections."""
        assert not self._broker.runs
        seen = len(self._log)
        self._process = process = self._broker.start()
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()
        self.wait_for_log(" running", after=seen)
        return self

    def stop(self) -> None:
        """End it by SIGTERM; without effect where it does not run."""
        self._broker.stop()
        if self._reader is not None:
            self._reader.join(PATIENCE_S)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it do nothing meanwhile: it accepts bytes, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def log(self) -> list[str]:
        """The lines of its log so far."""
        with self._changed:
            return list(self._log)

    def wait_for_log(self, text: str, *, times: int = 1, after: int = 0) -> None:
        """Wait until so many lines of the log, beyond the first ``after``, contain ``text``."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: sum(text in line for line in self._log[after:]) >= times, PATIENCE_S
            )
            assert done, f"{text!r} not found {times} times in: {self._log[after:]}"

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                with self._changed:
                    self._log.append(line.rstrip())
                    self._changed.notify_all()


class Subscriber(MqttSubscriber):
    """Records the messages on a topic filter of a broker on loopback; use it with ``with``."""

    def __init__(
        self,
        port: int,
        topics: str = "#",
        *,
        username: str | None = None,
        password: str | None = None,
        tls: Certificates | None = None,
        protocol: Any = MQTTv5,
    ) -> None:
        self.messages: list[MQTTMessage] = []
        self._changed = threading.Condition()
        client = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        client.username_pw_set(username, password)
        if tls is not None:
            client.tls_set(str(tls.ca), str(tls.client_cert), str(tls.client_key))
        super().__init__(port, topics, self._record, client)

    def _record(self, message: MQTTMessage) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def payloads(self, topic: str) -> list[bytes]:
        """Return the payloads received on one topic so far, in order."""
        with self._changed:
            return [bytes(m.payload) for m in self.messages if m.topic == topic]

    def wait_for(
        self, topic: str, payload: bytes | None = None, *, times: int = 1
    ) -> list[MQTTMessage]:
        """Wait for so many messages on a topic, with this payload where given; return them."""
        found: list[MQTTMessage] = []

        def enough() -> bool:
            found[:] = [
                m
                for m in self.messages
                if m.topic == topic and (payload is None or m.payload == payload)
            ]
            return len(found) >= times

        with self._changed:
            done = self._changed.wait_for(enough, PATIENCE_S)
            seen = [(m.topic, m.payload[:80]) for m in self.messages]
            assert done, f"{topic} {payload!r} not received {times} times in: {seen}"
        return found

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish a message; with QoS 1 wait until the broker has it."""
        sent = self._client.publish(topic, payload, qos=qos, retain=retain)
        if qos:
            sent.wait_for_publish(PATIENCE_S)

    def catch_up(self, topic: str = "test/catch_up") -> None:
        """Wait until all messages that the broker has accepted so far are received.

        ``topic`` is one that is subscribed.
        """
        marker = uuid.uuid4().hex
        self._client.publish(topic, marker, qos=1)
        self.wait_for(topic, marker.encode())

    def wait_until(
        self, condition: Callable[[list[MQTTMessage]], bool], *, timeout_s: float = PATIENCE_S
    ) -> None:
        """Wait for a condition on all messages received so far."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.messages), timeout_s), [
                (m.topic, m.payload[:80]) for m in self.messages
            ]


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Any:
    """Return a function that creates a `Mosquitto`, not yet started; all are stopped at the end."""
    brokers: list[Mosquitto] = []

    def make(**options: Any) -> Mosquitto:
        brokers.append(Mosquitto(tmp_path / f"mosquitto{len(brokers)}", **options))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.stop()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """Return a running broker without access control."""
    return make_mosquitto().start()
