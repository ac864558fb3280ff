"""asd-monitor: monitors machines by their sound and raises alarms over MQTT."""

__version__ = "0.1.0"
