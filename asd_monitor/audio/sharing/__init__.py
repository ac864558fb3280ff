"""Sharing of the daemon's captured sound with other programs on the same computer."""
