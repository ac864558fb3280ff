"""Measurements of detection behind the documents in `docs/method/`."""
