"""The sound of a device that the daemon holds, for other programs on the same computer."""
