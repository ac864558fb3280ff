"""The demonstration: a synthetic machine, an MQTT broker, and the commands of the package."""
