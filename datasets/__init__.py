"""Data sets to measure a detector on: synthetic machines, injected faults, real sounds."""
