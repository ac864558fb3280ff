"""asd-monitor: listens to machines and tells when one sounds wrong."""

__version__ = "0.1.0"
