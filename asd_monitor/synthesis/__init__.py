"""Synthetic machines, simulated faults and factory halls, computed from physical models."""
