"""Fuzzing: damaged inputs of every kind must be read or refused, within bounds of memory and time.

    python -m experiments.fuzz recordings --count 20000 --seed 0

`frame.py` runs the cases; each kind of input is a module with a class that has the members of
`frame.Target` and one line in ``targets.py``.
"""
