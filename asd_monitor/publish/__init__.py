"""Publication by MQTT: payloads, topics and the session with the broker."""
