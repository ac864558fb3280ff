"""The models folder and the state folder of one machine, as the product leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile

from asd_monitor.alarm.state import Alarm, AlarmCondition, Transition, TransitionKind
from asd_monitor.cli.machine_labels import labels_of
from asd_monitor.commissioning.blocks import Layout, LiveBlock, feature_key
from asd_monitor.commissioning.schedule import Progress
from asd_monitor.commissioning.store import CommissioningStore
from asd_monitor.config.machine_settings import MachineDefaults
from asd_monitor.evidence.alarm_sound import AlarmSound, kept_alarms
from asd_monitor.evidence.contents import AlarmFacts, PackageContent, ScoresAround
from asd_monitor.evidence.package_files import write_package
from asd_monitor.evidence.score_history import ScoreHistory
from asd_monitor.evidence.sound_span import KeptSound, SoundContent
from asd_monitor.journal.machine_journal import MachineJournal
from asd_monitor.journal.machine_requests import MachineRequests
from asd_monitor.journal.requests import Request, Verb
from asd_monitor.journal.store import Journal
from asd_monitor.model_store.bundle import Bundle, load_bundle
from asd_monitor.model_training.hand_refit import HandRefit, refit_by_hand
from asd_monitor.model_training.marked_pieces import pieces_of_sound
from asd_monitor.records import MicrophoneState, Samples, Thresholds
from experiments.learning.sounds import RATE_HZ

MACHINE = "machine"
_BEFORE_S = 10.0  # of kept sound, before an alarm is raised


@dataclass(frozen=True, slots=True)
class Box:
    """One machine."""

    folder: Path
    now: datetime

    @property
    def models(self) -> Path:
        """The models folder."""
        return self.folder / "models"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    def bundle(self) -> Bundle:
        """Return the version in use."""
        return load_bundle(self.models, MACHINE)

    def store_live_sound(self, sounds: Sequence[Samples], hours: float) -> None:
        """Store pieces of normal sound as the commissioning does, evenly over the last hours."""
        bundle = self.bundle()
        detector = bundle.detector
        store = CommissioningStore(self.state / "commissioning" / MACHINE)
        begin = self.now - timedelta(hours=hours)
        progress = Progress(bundle.sha256, bundle.version, begin.timestamp(), hours * 3600)
        blocks, layout = [], Layout(())
        for number, sound in enumerate(sounds):
            time = begin + timedelta(hours=hours * number / len(sounds))
            path = self._write(self.folder / "live.flac", sound)
            kept = AlarmSound("", path, RATE_HZ, time, len(sound))
            for piece in pieces_of_sound("", kept, detector)[:1]:
                windows = piece.windows
                layout = Layout.of(windows[0].features)
                levels = np.array([window.rms_dbfs for window in windows], np.float32)
                blocks.append(
                    LiveBlock(
                        piece.time_s,
                        hours * 3600 * number / len(sounds),
                        alarm_active=False,
                        level_dbfs=float(np.median(levels)),
                        starts_s=np.array([w.start / RATE_HZ for w in windows], np.float32),
                        levels_dbfs=levels,
                        vectors=Layout.pack([layout.join(w.features) for w in windows]),
                    )
                )
        store.begin(progress)
        store.write(progress, blocks, key=feature_key(detector), layout=layout)
        folder = self.state / "commissioning" / MACHINE / "sound"
        folder.mkdir()
        self._write(folder / f"{begin:%Y%m%dT%H%M%SZ}_-33dBFS.flac", sounds[0])

    def add_alarm(self, sound: Samples, hours_ago: float, label: str | None = None) -> str:
        """Raise and end an alarm with its sound; return its id."""
        raised = self.now - timedelta(hours=hours_ago)
        ended = raised + timedelta(seconds=len(sound) / RATE_HZ - _BEFORE_S)
        steps = (
            (AlarmCondition.NORMAL, AlarmCondition.UNACKNOWLEDGED, raised),
            (AlarmCondition.UNACKNOWLEDGED, AlarmCondition.RETURNED, ended),
        )
        with Journal(self.state) as journal:
            machine = MachineJournal(journal, MACHINE)
            number = machine.number + 1
            for before, after, time in steps:
                alarm = Alarm(number, after, 7.0)
                change = Transition(0, TransitionKind.ALARM, before, after, "", alarm=alarm)
                machine.record(change, time, "v1")
            record = machine.newest
        if record is None:
            raise ValueError("the alarm is not in the journal")
        write_package(self.state, _content(record.id, raised, sound), "")
        if label is not None:
            self.ask(Verb.LABEL, record.id, label=label)
        return record.id

    def ask(self, verb: Verb, alarm_id: str, **arguments: str) -> None:
        """Ask for something about an alarm, and apply it as the daemon does."""
        with Journal(self.state) as journal:
            why = "the experiment"
            request = Request(verb, MACHINE, "user", self.now, alarm_id, why, arguments)
            journal.requests.add(request)
            MachineRequests(MachineJournal(journal, MACHINE)).apply(None, self.now, None)

    def refit(self) -> HandRefit:
        """Make a candidate with the marked sound."""
        known = labels_of(self.state, MACHINE)
        return refit_by_hand(
            self.models,
            self.state,
            MACHINE,
            MachineDefaults(),
            datetime.now(UTC),
            spans=known.said.normal_spans,
            withdrawn=known.withdrawn,
            labels=known.said.labels,
        )

    def forget_alarms(self) -> None:
        """Delete journal and sound of the alarms."""
        for path in self.state.glob("alarms.db*"):
            path.unlink()
        for sound in kept_alarms(self.state, MACHINE).sounds:
            for path in (*sound.path.parent.iterdir(),):
                path.unlink()
            sound.path.parent.rmdir()

    def hashes(self, version: str) -> dict[str, str]:
        """Return the SHA-256 of each file of a version."""
        folder = self.models / MACHINE / version
        return {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    @staticmethod
    def _write(path: Path, sound: Samples) -> Path:
        soundfile.write(path, sound, RATE_HZ, "PCM_16")
        return path


def _content(alarm_id: str, raised: datetime, sound: Samples) -> PackageContent:
    """Return the package of an alarm with its sound, without scores and pictures."""
    facts = AlarmFacts(
        id=alarm_id,
        machine=MACHINE,
        box="experiment",
        raised=raised,
        raised_sample=round(_BEFORE_S * RATE_HZ),
        onset_sample=round(_BEFORE_S * RATE_HZ),
        reason="",
        alarm_score=7.0,
        time_scale_s=10.0,
        views={},
        thresholds=Thresholds(3.0, 5.42),
        model="v1",
        provisional=False,
        budget="1 per month",
        budget_note=None,
        microphone=MicrophoneState.OK,
        microphone_reason=None,
        lost_samples=0,
    )
    return PackageContent(
        facts=facts,
        scores=ScoresAround(ScoreHistory(()).trace(), (), ()),
        sound=KeptSound(0, RATE_HZ, sound),
        content=SoundContent.FULL,
        begin=raised - timedelta(seconds=_BEFORE_S),
        sentence="",
    )
