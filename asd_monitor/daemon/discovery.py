"""The discovery by Home Assistant: the machines, the box, and the pictures of alarms.

Each device is one retained message, as is the picture of the newest alarm of a machine.  They are
published at the start, after a reload, after a connect (by the session with the broker) and where
Home Assistant reports that it has started, then after a random delay.  Those of machines that are
not configured any more are removed by an empty message.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from asd_monitor import __version__
from asd_monitor.config.listen_address import is_loopback, page_url
from asd_monitor.config.settings import Config
from asd_monitor.daemon.broker_interface import Broker
from asd_monitor.daemon.discovery_record import DiscoveryRecord
from asd_monitor.daemon.evidence_storage import PackageChange
from asd_monitor.daemon.topic_readers import Subscribes
from asd_monitor.evidence.package_files import newest_image
from asd_monitor.publish.homeassistant.box_device import box_device
from asd_monitor.publish.homeassistant.identifiers import Identifiers
from asd_monitor.publish.homeassistant.machine_device import machine_device
from asd_monitor.publish.inbox import Received
from asd_monitor.publish.messages import ONLINE
from asd_monitor.worker_thread import WorkerThread

_REMOVED = b""


class Discovery:
    """Publishes for Home Assistant while `run` runs; nothing where it is not configured.

    Args:
        state: The state folder.
        broker: Publishes the messages.
        reader: Reads the topic on which Home Assistant reports its start.
        commands: Whether commands over MQTT are carried out.
        longest_delay_s: Longest delay after a start of Home Assistant, in s.
        confirm_s: Between two looks whether the broker has taken what is removed, in s.

    """

    def __init__(
        self,
        state: Path,
        *,
        broker: Broker,
        reader: Subscribes,
        commands: bool,
        longest_delay_s: float,
        confirm_s: float,
    ) -> None:
        self.thread = WorkerThread("discovery")
        """Reads pictures, and reads and writes the record."""
        self.turns = 0
        """How often everything due was published."""
        self._state = state
        self._broker = broker
        self._reader = reader
        self._commands = commands
        self._longest_delay_s = longest_delay_s
        self._confirm_s = confirm_s
        self._record = DiscoveryRecord(state, broker.topics.box)
        self._recorded: frozenset[str] | None = None  # topics; None: not read yet
        self._ids: Identifiers | None = None  # None: it is switched off
        self._machines: tuple[str, ...] = ()
        self._page_url: str | None = None
        self._images: dict[str, bytes] = {}  # of the newest alarms, by machine
        self._images_due: set[str] = set()  # machines
        self._published: Mapping[str, bytes] = {}  # by topic
        self._removed: frozenset[str] = frozenset()  # topics; the broker may not know it yet
        self._is_repeated = True  # also what has not changed is due
        self._is_busy = False
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._birth: asyncio.TimerHandle | None = None
        self._chance = random.Random(broker.topics.box)  # noqa: S311 - boxes need not be secret

    @property
    def idle_reason(self) -> str | None:
        """Why `run` has nothing to do; None: it has."""
        return None if self._is_busy or self._wake.is_set() else "nothing is due"

    def configure(self, config: Config) -> None:
        """Publish by this configuration from now on; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        before, self._ids = self._ids, None
        if config.homeassistant is not None:
            prefix = config.homeassistant.discovery_prefix
            self._ids = Identifiers(prefix, self._broker.topics.box)
        self._machines = tuple(config.machines)
        self._page_url = _page_of_others(config)
        self._images_due.update(self._machines)
        if self._ids != before:
            topics = () if self._ids is None else (self._ids.birth_topic,)
            self._reader.subscribe(topics, self._receive)
        self._repeat()

    def note_package(self, change: PackageChange) -> None:
        """Note that the evidence of an alarm was written or deleted."""
        self._images_due.add(change.machine)
        self._wake.set()

    async def run(self) -> None:
        """Publish what is due, until cancelled."""
        self._is_repeated = True
        while True:
            self._is_busy = True
            await self._publish()
            self._is_busy = False
            self.turns += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._confirm_s if self._removed else None):
                    await self._wake.wait()
            self._wake.clear()

    def close(self) -> None:
        """End the thread, without waiting.  May be called in any state and more than once."""
        if self._birth is not None:
            self._birth.cancel()
        self.thread.close()

    def _receive(self, received: Received) -> None:
        """Take what Home Assistant reports; called in the thread of the session."""
        if received.payload == ONLINE and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._note_birth)

    def _note_birth(self) -> None:
        if self._birth is None:
            delay_s = self._chance.uniform(0.0, self._longest_delay_s)
            self._birth = asyncio.get_running_loop().call_later(delay_s, self._repeat)

    def _repeat(self) -> None:
        if self._birth is not None:
            self._birth.cancel()
            self._birth = None
        self._is_repeated = True
        self._wake.set()

    async def _publish(self) -> None:
        if self._recorded is None:
            self._recorded = await self.thread.run(self._record.load)
        is_repeated, self._is_repeated = self._is_repeated, False
        await self._read_images()
        devices, images = self._device_messages(), self._image_messages()
        wanted = {**devices, **images}
        # what is published is in the record before: a kill forgets nothing
        await self._save(self._recorded | wanted.keys())
        for topic, payload in wanted.items():
            is_due = is_repeated and topic in devices
            if is_due or self._published.get(topic) != payload:
                self._broker.publish(topic, payload, qos=1, retain=True)
        self._published = wanted
        stale = self._recorded - wanted.keys()
        for topic in stale - self._removed:
            self._broker.publish(topic, _REMOVED, qos=1, retain=True)
        is_new, self._removed = bool(stale - self._removed), stale
        if self._removed and not is_new and self._broker.connected and self._broker.pending == 0:
            self._removed &= self._broker.refused_topics.keys()
            await self._save(wanted.keys() | self._removed)

    async def _save(self, topics: Collection[str]) -> None:
        if topics != self._recorded:
            await self.thread.run(self._record.save, topics)
            self._recorded = frozenset(topics)

    async def _read_images(self) -> None:
        """Read the pictures that have changed; none are kept of other machines."""
        due, self._images_due = self._images_due, set()
        if self._ids is None:
            self._images.clear()
            return
        for machine in due:
            image = await self.thread.run(partial(newest_image, self._state, machine))
            if image is None:
                self._images.pop(machine, None)
            else:
                self._images[machine] = image
        kept = self._images.items()
        self._images = {machine: image for machine, image in kept if machine in self._machines}

    def _image_messages(self) -> dict[str, bytes]:
        topics = self._broker.topics
        return {topics.picture(machine): image for machine, image in self._images.items()}

    def _device_messages(self) -> dict[str, bytes]:
        """Return the messages of the discovery by topic."""
        ids, topics = self._ids, self._broker.topics
        if ids is None:
            return {}
        page_url = self._page_url
        devices = [box_device(topics, ids, version=__version__, page_url=page_url)]
        devices += [
            machine_device(
                machine,
                topics,
                ids,
                version=__version__,
                commands=self._commands,
                page_url=None if page_url is None else f"{page_url}machines/{machine}",
            )
            for machine in self._machines
        ]
        return {ids.config_topic(each.object_id): each.payload() for each in devices}


def _page_of_others(config: Config) -> str | None:
    """Return where other computers find the page; None: it is for this one alone, or off."""
    if config.http is None or is_loopback(config.http.listen):
        return None
    return page_url(config.http.listen, socket.gethostname())
