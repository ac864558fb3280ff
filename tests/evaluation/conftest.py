"""Puts the scripts on the import path: they write the trees that evaluation is tried on."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
