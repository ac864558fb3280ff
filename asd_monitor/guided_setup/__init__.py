"""Steps of `asd-monitor setup` that need no device, file or terminal."""
