"""Injects faults into the running daemon, its broker, disk, clock and sound, and counts losses.

`python -m experiments.chaos` prints one table of all faults.  A fault is a class in one of the
modules named after what breaks; `scenario.py` says what it has to do, `box.py` is what it is
injected into.

    kills               the daemon and the broker are ended
    microphones         the capture child, the sound server and the microphone itself
    microphone_changes  what the microphone captures
    brokers             brokers that misbehave as in `broker_behaviours`, over real sockets
    packets             mutated packets of a broker
    disks               full, small and read-only disks
    journal_files       files of the journal that are removed or damaged
    starvation          little processor time and memory
    clocks              a clock that steps
    long_run            hours of sound with faults at random times
"""
