"""Puts the scripts on the import path: their readers of recordings are tried here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
