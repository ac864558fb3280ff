"""Injects faults into the running daemon, its broker, disk, clock and sound, and counts losses.

`python -m experiments.chaos` prints one table of all faults.  A fault is a class in one of the
modules named after what breaks; `scenario.py` says what it has to do, `box.py` is what it is
injected into.

    kills        the daemon, the capture child and the broker are ended
    microphones  the capture child, and the microphone itself
    brokers      brokers that do not keep to the protocol, over real sockets
    packets      mutated packets of a broker
    disks        full, small, read-only and damaged disks
    starvation   little processor time, memory and patience; a clock that steps
    long_run     hours of sound with faults at random times
"""
