"""Measurements of alarms: false alarms over simulated months, faults that grow, runs to failure."""
