"""Faults of microphones, and faults of machines that must not be taken for them."""
