"""Recordings on disk: reading, writing, levels, and recordings as a source."""
