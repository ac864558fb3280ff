"""Recordings on disk: search, reading, writing, levels; and recordings as a source."""
