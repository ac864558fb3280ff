"""The licence of each file of a package."""

from pathlib import Path

import numpy as np
import soundfile

from datasets.package_licences import free_licences
from datasets.sound_formats import instrument_of, read_sound_files

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: somebody
License: GPL-2+

Files: snd/*
Copyright: somebody
License: public-domain
 Given away.

Files: ./snd/b.wav snd/c.wav
License: CC-BY-SA-3.0

Files: snd/loud one.wav
License: CC-BY-NC-4.0

Files:
 snd/d.wav
 snd/e?f.wav
License: GPL-3 or CC-BY-3.0

License: GPL-2+
 The text.
"""


def test_free_files_are_taken_by_the_last_matching_paragraph(tmp_path: Path) -> None:
    (tmp_path / "copyright").write_text(COPYRIGHT)
    licence_of = free_licences(tmp_path / "copyright", "snd/{}".format)
    assert licence_of("a.wav") == "public-domain"
    assert [licence_of(name) for name in ("b.wav", "c.wav", "loud one.wav")] == [None] * 3
    assert [licence_of(name) for name in ("d.wav", "e f.wav")] == ["CC-BY-3.0"] * 2
    assert free_licences(tmp_path / "copyright", "src/{}".format)("a.wav") is None

    (tmp_path / "x").mkdir()
    for name in ("a", "b", "d"):
        soundfile.write(tmp_path / "x" / f"{name}.wav", np.zeros(4000), 22_050)
    taken = read_sound_files(tmp_path, "x", licence_of, instrument_of)
    assert [(c.name, c.licence) for c in taken] == [("a", "public-domain"), ("d", "CC-BY-3.0")]
