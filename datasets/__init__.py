"""Data sets to evaluate a detector on, and recordings to train an encoder on.

- ``python -m datasets.synthetic_tree``: synthetic machines with simulated faults
- ``python -m datasets.injected_tree``: recordings with injected faults
- ``python -m datasets.impact_tree``: machines with periodic impacts
- ``python -m datasets.sounds``: freely licensed recordings, from Debian packages
"""
